"""What a node's proxy shows of itself: one value per IP family, taken at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.proxy.metrics import Metrics
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import ForwardingTable

Probes = Mapping[int, int]
"""HTTP status -> how often it was answered."""


@dataclass(frozen=True, slots=True)
class ProxierStatus:
    """The proxy of one family. `table` and `rules` are those in force; None before the first sync."""

    family: int
    """4 or 6."""
    mode: str
    """The back end's name, as in `iptables-nft`."""
    metrics: Metrics
    table: ForwardingTable | None = None
    rules: Ruleset | None = None
    oldest_pending_ns: int | None = None
    """When the oldest change came that is not in force; None: nothing waits."""

    @property
    def ip_family(self) -> str:
        """As kube-proxy's label has it."""
        return f"IPv{self.family}"


def proxy_mode(name: str) -> str:
    """kube-proxy's `--proxy-mode` of a back end's name: `iptables` of `iptables-nft`."""
    return name.partition("/")[0].partition("-")[0]
