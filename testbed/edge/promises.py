"""What Kubernetes promises at every door: a pure function of the row and the lab's setting.

Sources: kubernetes.io, "Using Source IP" and "Virtual IPs and Service Proxies"; KEP-1860 (ipMode); for who is
inside the cluster, kube-proxy's chains. To kube-proxy an ingress controller is a backend like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from testbed.edge.doors import Row

Source = Literal["client", "entry", "balancer", "address"]
PROXIED = ("haproxy",)
"""Providers that end connections: what they pass on is their own."""
_DOCUMENTED = "documented"


@dataclass(frozen=True, slots=True)
class Setting:
    """`provider`: l2, bgp, or the program of a cloud's balancer. `routers`: how many a reply passes between the
    nodes' segment and the outside client's. `profile`: the proxies', with what its modes deviate in.
    """

    mode: str
    provider: str
    routers: int = 0
    profile: str = _DOCUMENTED

    @property
    def userspace(self) -> bool:
        """Whether a process on the node dials for its clients."""
        return self.mode.startswith("userspace")

    @property
    def blind(self) -> bool:
        """Whether the proxies know no policy Local: kube-proxy's userspace mode never learned it."""
        return self.userspace and self.profile != _DOCUMENTED

    @property
    def one_list(self) -> bool:
        """Whether an address has one list of endpoints, whoever dials it: kube-proxy's IPVS mode (#66062)."""
        return self.mode.startswith("ipvs") and self.profile != _DOCUMENTED


@dataclass(frozen=True, slots=True)
class Promise:
    """What every attempt of a row gets."""

    ends: Literal["all", "entry", "none"]
    """All endpoints take turns, or those of the node that the packet enters the cluster by."""
    source: Source = "client"
    """Whose address the endpoint sees; "address": the very one that was dialled."""


NOBODY = Promise("none")


def promise(row: Row, setting: Setting) -> Promise:
    """What is promised of a row."""
    if row.door == "hostNetwork":
        return Promise("entry") if row.to in row.ends.values() else NOBODY
    if row.policy == "Cluster" or setting.blind:
        return Promise("all", "entry")
    source: Source = "entry" if setting.userspace else "client"
    if row.door == "LoadBalancer" and setting.provider in PROXIED:
        # It dials node ports, and only those of nodes with endpoints.
        return Promise("entry", "entry" if setting.userspace else "balancer")
    if row.client == "pod" or (row.client == "node" and row.at == (row.to or row.at)):
        return _inside(row, "entry" if row.client == "node" else source, setting)
    if row.to and row.to not in row.ends.values():
        # IPVS takes all endpoints where a node has none (#93456); their replies find back (#75262) where the
        # pod network hides who comes from outside, as it does in these labs.
        return Promise("all", "entry") if setting.one_list else NOBODY
    return Promise("entry", source)


def _inside(row: Row, source: Source, setting: Setting) -> Promise:
    """Whoever is in the cluster is not bound by the external policy."""
    if setting.one_list and row.at in row.ends.values():
        # A node has that address itself: it dials from it, and nobody hides what stays on the node.
        own = row.client == "node" and row.door == "LoadBalancer"
        return Promise("entry", "address" if own else source)
    return Promise("all", source)
