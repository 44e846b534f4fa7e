"""How a service is reached from outside the cluster, for who dialled its cluster address from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from testbed.ip import family_of, host_port


def outside_way(
    services: Iterable[Mapping[str, Any]], node: str, dialled: str, port: int, protocol: str
) -> str:
    """What to dial instead; empty where it was not a cluster address, or there is no other way in.

    `services` as `inspect` has them, `node` the name of one that runs, if any does, `protocol` tcp or udp.
    """
    ways = [
        way
        for service in services
        if dialled in service["clusterIPs"]
        for way in _ways(service, node, family_of(dialled), (port, protocol))
    ]
    return f"a client outside the cluster dials {' or '.join(ways)}" if ways else ""


def _ways(
    service: Mapping[str, Any], node: str, family: int, asked: tuple[int, str]
) -> Iterator[str]:
    for ip in service["loadBalancerIPs"]:
        if family_of(ip) == family:
            yield f"{host_port(ip, asked[0])} (its load balancer)"
    for row in service["ports"]:
        if node and asked == (row["port"], row["protocol"].lower()) and row["nodePort"]:
            yield f"{node}:{row['nodePort']} (a node port)"
