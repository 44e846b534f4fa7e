"""Nodes: the machines of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.model.objects.metadata import ObjectMeta
from testbed.model.scheduling import Taint

ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    kind: ClassVar[str] = "Node"
    meta: ObjectMeta
    internal_ips: tuple[str, ...] = ()
    """One per IP family, the cluster's primary family first."""
    pod_cidrs: tuple[str, ...] = ()
    unschedulable: bool = False
    ready: bool = False
    """The Ready condition."""
    unreachable: bool = False
    """It is Unknown: the node's kubelet has not been heard of for too long."""
    ready_changed_s: float | None = None
    taints: tuple[Taint, ...] = ()

    @property
    def internal_ip(self) -> str:
        """Its address of the primary family; "" where it has none."""
        return next(iter(self.internal_ips), "")

    @property
    def pod_cidr(self) -> str:
        """Its pods' range of the primary family; "" where it has none."""
        return next(iter(self.pod_cidrs), "")
