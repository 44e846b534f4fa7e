"""What happened, as rows: the lines of `events.jsonl`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `t_ns` is CLOCK_MONOTONIC. `source` is who says so (`fault`, `kubelet`, `store`, `proxy`, `lab`, …),
    `node` where ("" for the control plane), `kind` what (`crash`, `not-ready`, `sync-start`, …),
    `object` on what (`default/web-0`), `resource_version` the store's version that it belongs to (0: none).
    """

    t_ns: int
    source: str
    node: str
    kind: str
    object: str
    resource_version: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return asdict(self)


Record = Callable[[Event], None]
