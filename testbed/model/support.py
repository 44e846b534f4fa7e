"""What of a topology changes nothing in a lab."""

from __future__ import annotations

from testbed.model.topology import Topology

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
