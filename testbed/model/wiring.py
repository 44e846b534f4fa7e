"""What `links` says: who is joined to whom, and which machines hear each other's broadcasts.

A name that is neither a node, an outside host nor a router is a switch. Without links one switch joins all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from testbed.model.fakes import live_nodes
from testbed.model.links import Link
from testbed.model.topology import Topology

Kind = Literal["node", "host", "router", "switch"]
SWITCH = "switch"
"""The one switch of a lab without links."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A link under its name: `n1:tor1`, the second one between the two `n1:tor1:2`."""

    name: str
    link: Link


@dataclass(frozen=True, slots=True)
class Port:
    """A machine's interface `eth{number}` and the wire at it."""

    machine: str
    number: int
    wire: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Who hears each other's broadcasts: machines on switches that are joined, or on the ends of one wire."""

    name: str
    """Its first switch's name, or the wire's."""
    switches: tuple[str, ...]
    wires: tuple[str, ...]
    ports: tuple[Port, ...]
    """In the order of the wires."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The physical network of a topology, before anything has an address."""

    kinds: Mapping[str, Kind]
    """Nodes, outside hosts, routers and switches, each in the topology's order. Fake nodes are none."""
    wires: tuple[Wire, ...]
    segments: tuple[Segment, ...]
    """In the order of their first wires."""
    control_plane: str
    """The switch or router that the control plane listens at; "" where there is neither."""

    def ports(self) -> dict[str, list[tuple[Port, Segment]]]:
        """Each machine's, by number."""
        found: dict[str, list[tuple[Port, Segment]]] = {
            name: [] for name, kind in self.kinds.items() if kind != "switch"
        }
        for segment in self.segments:
            for port in segment.ports:
                found[port.machine].append((port, segment))
        for ports in found.values():
            ports.sort(key=lambda entry: entry[0].number)
        return found


def wiring(topology: Topology) -> Wiring:
    """The wiring of a topology."""
    kinds: dict[str, Kind] = dict.fromkeys(live_nodes(topology), "node")
    kinds |= dict.fromkeys(topology.hosts, "host")
    kinds |= dict.fromkeys(topology.routers, "router")
    if not topology.all_links:
        return _one_switch(kinds)
    for link in topology.all_links:
        for end in link.endpoints:
            kinds.setdefault(end, "switch")
    wires = _named(topology.all_links)
    return Wiring(kinds, wires, _segments(kinds, wires), _control_plane(topology, kinds))


def _one_switch(kinds: dict[str, Kind]) -> Wiring:
    switch = SWITCH
    while switch in kinds:
        switch += "-0"
    wires = _named(Link.model_construct(endpoints=(name, switch)) for name in kinds)
    ports = tuple(Port(wire.link.endpoints[0], 0, wire.name) for wire in wires)
    kinds[switch] = "switch"
    names = tuple(wire.name for wire in wires)
    return Wiring(kinds, wires, (Segment(switch, (switch,), names, ports),), switch)


def _named(links: Iterable[Link]) -> tuple[Wire, ...]:
    counts: dict[frozenset[str], int] = {}
    wires = []
    for link in links:
        pair = frozenset(link.endpoints)
        counts[pair] = count = counts.get(pair, 0) + 1
        wires.append(Wire(":".join(link.endpoints) + (f":{count}" if count > 1 else ""), link))
    return tuple(wires)


def _segments(kinds: Mapping[str, Kind], wires: Iterable[Wire]) -> tuple[Segment, ...]:
    leaders: dict[str, str] = {}

    def leader(switch: str) -> str:
        while (above := leaders.setdefault(switch, switch)) != switch:
            switch = above
        return switch

    for wire in wires:
        one, other = wire.link.endpoints
        if kinds[one] == kinds[other] == "switch":
            leaders[leader(other)] = leader(one)
    names: dict[str, str] = {}
    switches: dict[str, dict[str, None]] = {}
    members: dict[str, list[str]] = {}
    ports: dict[str, list[Port]] = {}
    numbers: dict[str, int] = {}
    for wire in wires:
        joined = [end for end in wire.link.endpoints if kinds[end] == "switch"]
        name = names.setdefault(leader(joined[0]), joined[0]) if joined else wire.name
        switches.setdefault(name, {}).update(dict.fromkeys(joined))
        members.setdefault(name, []).append(wire.name)
        here = ports.setdefault(name, [])
        for end in wire.link.endpoints:
            if kinds[end] != "switch":
                number = numbers[end] = numbers.get(end, -1) + 1
                here.append(Port(end, number, wire.name))
    return tuple(
        Segment(name, tuple(switches[name]), tuple(members[name]), tuple(ports[name]))
        for name in switches
    )


def _control_plane(topology: Topology, kinds: Mapping[str, Kind]) -> str:
    if topology.network.control_plane:
        return topology.network.control_plane
    ends = [end for link in topology.all_links for end in link.endpoints]
    for wanted in ("switch", "router"):
        for end in ends:
            if kinds[end] == wanted:
                return end
    return ""
