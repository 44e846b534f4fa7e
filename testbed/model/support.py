"""Which values of the contract this version builds."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.errors import NotBuiltYet
from testbed.model.topology import Topology


def require_supported(topology: Topology) -> None:
    """Raise NotBuiltYet for the first value that `up` cannot build, naming what to use instead."""
    for what, instead in unsupported(topology):
        raise NotBuiltYet(f"{what} is not built yet", instead)


def unsupported(topology: Topology) -> Iterator[tuple[str, str]]:
    """(what, what to use instead) of each value that `check` takes and `up` cannot build."""
    if topology.network.cni != "host-gw":
        yield f"network.cni: {topology.network.cni}", "use host-gw"
    if topology.links:
        yield "links", "leave them out: one switch joins all"
