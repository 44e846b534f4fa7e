"""Which values of the contract this version builds."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.errors import NotBuiltYet
from testbed.model.topology import Topology


def require_supported(topology: Topology) -> None:
    """Raise NotBuiltYet for the first value that `up` cannot build, naming what to use instead."""
    for what, instead in unsupported(topology):
        raise NotBuiltYet(f"{what} is not built yet", instead)


_IDLE = frozenset({"Ingress", "IngressClass", "NetworkPolicy"})
"""Kinds that the API serves for others, and that nothing in a lab acts on."""


def idle(topology: Topology) -> str:
    """What users are told of manifests that are stored and change nothing; "" where there are none."""
    names = [
        f"{manifest['kind']} {manifest['metadata']['name']}"
        for manifest in topology.manifests
        if isinstance(manifest, dict) and manifest.get("kind") in _IDLE
    ]
    return f"stored, and nothing in a lab acts on it: {', '.join(names)}" if names else ""


def unsupported(topology: Topology) -> Iterator[tuple[str, str]]:
    """(what, what to use instead) of each value that `check` takes and `up` cannot build."""
    if topology.network.cni.routes not in {"host-gw", "vxlan", "weave", "none"}:
        yield f"network.cni: {topology.network.cni.routes}", "use host-gw, vxlan or weave"
