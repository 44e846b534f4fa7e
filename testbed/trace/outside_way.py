"""How a service is reached from outside the cluster, for who dialled its cluster address from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.ip import family_of, host_port
from testbed.trace.evidence import Evidence


def outside_way(evidence: Evidence) -> str:
    """What to dial instead; empty where it was not a cluster address, or there is no other way in."""
    if evidence.source["kind"] != "host":
        return ""
    meant = [one for one in evidence.services if evidence.dialled in one["clusterIPs"]]
    ways = [way for service in meant for way in _ways(service, evidence)]
    return f"a client outside the cluster dials {' or '.join(ways)}" if ways else ""


def _ways(service: Mapping[str, Any], evidence: Evidence) -> Iterator[str]:
    family, port = family_of(evidence.dialled), evidence.dialled_port
    for ip in service["loadBalancerIPs"]:
        if family_of(ip) == family:
            yield f"{host_port(ip, port)} (its load balancer)"
    world = evidence.world
    node = next(
        (name for name, ips in world.nodes.items() if ips and name not in world.stopped), ""
    )
    for row in service["ports"]:
        asked = (row["port"], row["protocol"].lower()) == (port, evidence.protocol)
        if node and asked and row["nodePort"]:
            yield f"{node}:{row['nodePort']} (a node port)"
