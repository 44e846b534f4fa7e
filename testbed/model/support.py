"""What of a topology changes nothing in a lab."""

from __future__ import annotations

from testbed.model.topology import Topology

_IDLE = frozenset({"Ingress", "IngressClass", "NetworkPolicy"})
"""Kinds that the API serves for others, and that nothing in a lab acts on."""
_BY_INGRESS = frozenset({"Ingress", "IngressClass"})
"""Of these, those that an ingress controller acts on."""


def idle(topology: Topology) -> str:
    """What users are told of manifests that are stored and change nothing; "" where there are none."""
    kinds = _IDLE if topology.ingress is None else _IDLE - _BY_INGRESS
    names = [
        f"{manifest['kind']} {manifest['metadata']['name']}"
        for manifest in topology.manifests
        if isinstance(manifest, dict) and manifest.get("kind") in kinds
    ]
    if not names:
        return ""
    remedy = " (`ingress: {}` in the topology runs a controller)" if _any(topology, kinds) else ""
    return f"stored, and nothing in a lab acts on it: {', '.join(names)}{remedy}"


def _any(topology: Topology, kinds: frozenset[str]) -> bool:
    wanted = kinds & _BY_INGRESS
    return any(isinstance(one, dict) and one.get("kind") in wanted for one in topology.manifests)
