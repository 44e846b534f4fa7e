"""Shortest ways between segments: the static routes of every machine.

Only routers forward. A way is as long as it has routers; all shortest ones share the flows (ECMP).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.fabric.machine import Interface, Route
from testbed.ip import ANYWHERE, IPAddress, IPNetwork
from testbed.model.wiring import Wiring

Interfaces = Mapping[str, tuple[Interface, ...]]


@dataclass(frozen=True, slots=True)
class _Hop:
    """A router's interface in a segment that one's own interface is in."""

    router: str
    theirs: Interface
    own: Interface


def routes(wired: Wiring, interfaces: Interfaces) -> dict[str, tuple[Route, ...]]:
    """Each machine's routes to the segments that it is not in.

    A router has one for each of them and no other: what is for nobody ends at the first router. Everybody else
    has a default route by the next hops that most of them have, and further ones where those differ.

    A node needs a default route in any case: without one it could not dial a cluster address, as routing comes
    before the rules. Where no router is needed it leads to the control plane, which forwards nothing.
    """
    homes = {name: {one.segment for one in own} for name, own in interfaces.items()}
    routers = [
        name for name, kind in wired.kinds.items() if kind == "router" and name in interfaces
    ]
    distances = {
        segment.name: _distances(segment.name, routers, homes) for segment in wired.segments
    }
    networks = _networks(interfaces)
    found = {}
    for name, kind in wired.kinds.items():
        hops = _hops(name, routers, interfaces)
        ways = {
            segment: _nearest(hops, distances[segment])
            for segment in networks
            if segment not in homes[name]
        }
        if kind == "router":
            found[name] = _to_segments(ways, networks)
        else:
            found[name] = _with_default(ways, networks)
        if not found[name] and kind == "node":
            found[name] = _to_control_plane(wired.control_plane, interfaces[name], interfaces)
    return found


def _distances(segment: str, routers: list[str], homes: Mapping[str, set[str]]) -> dict[str, int]:
    """How many more routers a packet meets that a router has, on its way to the segment."""
    found = {router: 0 for router in routers if segment in homes[router]}
    edge = list(found)
    while edge:
        near = set().union(*(homes[router] for router in edge))
        step = found[edge[0]] + 1
        edge = [router for router in routers if router not in found and homes[router] & near]
        found |= dict.fromkeys(edge, step)
    return found


def _networks(interfaces: Interfaces) -> dict[str, tuple[IPNetwork, ...]]:
    """Of the segments in which somebody has an address."""
    return {
        one.segment: tuple(address.network for address in one.addresses)
        for own in interfaces.values()
        for one in own
        if one.addresses
    }


def _hops(name: str, routers: list[str], interfaces: Interfaces) -> list[_Hop]:
    return [
        _Hop(router, theirs, own)
        for router in routers
        if router != name
        for theirs in interfaces[router]
        for own in interfaces[name]
        if own.segment == theirs.segment and own.addresses
    ]


def _nearest(hops: list[_Hop], distances: Mapping[str, int]) -> tuple[_Hop, ...]:
    least = min((distances[hop.router] for hop in hops if hop.router in distances), default=None)
    return tuple(hop for hop in hops if distances.get(hop.router) == least is not None)


Ways = Mapping[str, tuple[_Hop, ...]]


def _to_segments(ways: Ways, networks: Mapping[str, tuple[IPNetwork, ...]]) -> tuple[Route, ...]:
    return tuple(
        Route(network, address.ip, hop.own.name)
        for segment, hops in ways.items()
        for network in networks[segment]
        for hop in hops
        for address in hop.theirs.addresses
        if address.version == network.version
    )


def _with_default(ways: Ways, networks: Mapping[str, tuple[IPNetwork, ...]]) -> tuple[Route, ...]:
    common = Counter(hops for hops in ways.values() if hops).most_common(1)
    if not common:
        return ()
    usual = common[0][0]
    defaults = _by_default(
        [(hop.own.name, address.ip) for hop in usual for address in hop.theirs.addresses]
    )
    others = {segment: hops for segment, hops in ways.items() if hops != usual}
    return (*defaults, *_to_segments(others, networks))


def _to_control_plane(
    control_plane: str, own: tuple[Interface, ...], interfaces: Interfaces
) -> tuple[Route, ...]:
    hops = [
        (one.name, address.ip)
        for one in own
        for theirs in interfaces.get(control_plane, ())
        if theirs.segment == one.segment
        for address in theirs.addresses
    ]
    return _by_default(hops)


def _by_default(hops: list[tuple[str, IPAddress]]) -> tuple[Route, ...]:
    return tuple(Route(ANYWHERE[ip.version], ip, interface) for interface, ip in hops)
