"""What of a topology cannot change while its lab runs. Pure."""

from __future__ import annotations

from testbed.errors import UsageError
from testbed.model.topology import Topology
from testbed.model.wiring import wiring

_FIXED = {
    "network": "network",
    "proxy": "proxy",
    "timing": "timing",
    "kernel": "kernel",
    "runtime": "runtime",
    "load_balancer": "loadBalancer",
}
"""Fields, and their keys."""


def require_same(before: Topology, after: Topology) -> None:
    """Raises UsageError that names what would change and cannot."""
    changed = [
        key for field, key in _FIXED.items() if getattr(before, field) != getattr(after, field)
    ]
    if before.dns.domain != after.dns.domain:
        changed.append("dns.domain")
    if before.dns.plugin_order != after.dns.plugin_order:
        changed.append("dns.pluginOrder")
    if before.dns.node_local != after.dns.node_local:
        changed.append("dns.nodeLocal")
    if before.dns.server != after.dns.server:
        changed.append("dns.server")
    if wiring(before).control_plane != wiring(after).control_plane:
        changed.append(
            "where the control plane is (network.controlPlane, the first switch of links)"
        )
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot change while the lab runs",
            f"`testbed down {before.name}` first",
        )
