"""How writes of each resource differ: one row per kind.

Source: the strategies in Kubernetes' `pkg/registry`, a folder per resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Of a kind; as by default where it has no row."""

    has_status: bool = False
    """`status` is written by its subresource only."""
    counted: tuple[str, ...] = ()
    """The manifest's keys whose changes `metadata.generation` counts, where the store does not count them."""
    create_on_update: bool = False
    """An update of what is not there creates it."""
    unconditional: bool = True
    """An update may come without a resourceVersion."""
    returns_deleted: bool = False
    """A deletion is answered with the object, not with a Status."""
    undeletable: tuple[str, ...] = ()
    """Names of objects that stay."""


_RULES: Mapping[str, Rules] = {
    "Namespace": Rules(has_status=True, undeletable=("default", "kube-system", "kube-public")),
    "Node": Rules(has_status=True),
    "Pod": Rules(has_status=True, counted=("spec",), returns_deleted=True),
    "Service": Rules(has_status=True, create_on_update=True, returns_deleted=True),
    "ServiceAccount": Rules(returns_deleted=True),
    "Endpoints": Rules(create_on_update=True),
    "EndpointSlice": Rules(counted=("endpoints", "ports", "addressType")),
    "Event": Rules(create_on_update=True),
    "Lease": Rules(create_on_update=True, unconditional=False),
    "Deployment": Rules(has_status=True),
    "ReplicaSet": Rules(has_status=True),
    "DaemonSet": Rules(has_status=True),
    "Ingress": Rules(has_status=True, counted=("spec",)),
    "IngressClass": Rules(counted=("spec",)),
    "NetworkPolicy": Rules(counted=("spec",)),
    "ServiceCIDR": Rules(has_status=True),
}


def rules_of(kind: str) -> Rules:
    """The rules of a kind."""
    return _RULES.get(kind, Rules())
