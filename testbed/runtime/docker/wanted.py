"""Containers as values: what the daemon is asked to make, and one that only holds namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Held:
    """A container that does nothing but hold namespaces."""

    ident: str
    namespace: int
    """Descriptor of its network namespace, the caller's from here on."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A container to make; `network` as Docker spells it. None: the image's own."""

    name: str
    image: str
    labels: Mapping[str, str]
    network: str = "none"
    hostname: str | None = None
    entrypoint: Sequence[str] | None = None
    command: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    stdin: bool = False
    tty: bool = False
    mounts: tuple[tuple[str, str, bool], ...] = ()
    """(source, target, read-only) each, of this machine's files."""
    ipc: str | None = None
    capabilities: tuple[str, ...] = ()
