"""The factor `bug`: faults that have been mended since, brought back by a switch; their names are here."""

from __future__ import annotations

from testbed.errors import UsageError
from testbed.model.topology import Topology

NONE = "none"
KEEP_STALE_UDP = "bug:keep-stale-udp"
"""Proxies never delete UDP conntrack entries, as before kubernetes #22573 and #98305."""
SKIP_EMPTY_SERVICES = "bug:skip-empty-services"
"""kube-proxy 1.32 to 1.36 as it is: a service without endpoints keeps its entries (#139628)."""
REUSE_PORTS = "bug:reuse-ports"
"""A port that comes back is led where its last connection was: IPVS as kube-proxy had it on kernels 4.1 to
5.8, conn_reuse_mode=0 (#81775); and expire_nodest_conn=0, which kernels before 5.16 did not heed there.
"""
ONLY_IN = {REUSE_PORTS: "ipvs"}
"""Switch -> the beginning of the modes that have what it is about; the others have all of it."""
BUGS = (NONE, KEEP_STALE_UDP, SKIP_EMPTY_SERVICES, REUSE_PORTS)


def with_bug(topology: Topology, bug: str) -> Topology:
    """The topology whose proxies have that fault, and no other of those that are known of them.

    Raises UsageError where the proxy is somebody else's, who has its own.
    """
    external = topology.proxy.mode == "external"
    if external and bug != NONE:
        raise UsageError(
            f"{bug} is the testbed's own proxies' switch", "with proxy=external, leave bug=none"
        )
    changes = {
        "profile": "kube-proxy-1.36" if bug == SKIP_EMPTY_SERVICES else "documented",
        "bugs": (KEEP_STALE_UDP.partition(":")[2],) if bug == KEEP_STALE_UDP else (),
    }
    if external:
        return topology
    proxy = topology.proxy.model_dump(by_alias=True) | changes
    return topology.model_copy(update={"proxy": type(topology.proxy).model_validate(proxy)})
