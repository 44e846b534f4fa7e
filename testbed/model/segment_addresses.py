"""Each segment's share of nodeCIDR, and who has which address in it.

The one switch of a lab without links has all of it. Else a segment has a /24 (a /112 of IPv6), less where there
are many of them, more where one is large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.errors import UsageError
from testbed.ip import IPNetwork
from testbed.model import fakes
from testbed.model.topology import Topology
from testbed.model.wiring import Kind, Segment, Wiring

FIRST_NODE = 2
"""`.1` is left to the switch, as Docker's and kind's bridges have it."""
FIRST_HOST = 1
"""Outside hosts are in the upper half, so that nodes and hosts can both be appended to."""
_LAST = 2
"""Routers' addresses count down from here, from the end; the last one is IPv4's broadcast address."""
SEGMENT_PREFIX = {4: 24, 6: 112}
"""By IP family. MAC addresses follow from an address's last 31 bits: they differ between segments, too."""
NOWHERE = ""
"""The segment of fake nodes, where there are links: it has the last share."""


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """The addresses of one interface, one per IP family."""

    segment: str
    ips: tuple[str, ...]


Shares = Mapping[str, tuple[IPNetwork, ...]]
"""Segment -> its networks, one per IP family."""
Addresses = Mapping[str, tuple[InterfaceAddress, ...]]
"""Of each machine but switches, `eth0` first."""
_Interface = tuple[str, int]
"""A machine and the number of its interface."""
_Members = Mapping[Kind, Sequence[_Interface]]

_PLACES: Mapping[Kind, Callable[[int, int], int]] = {
    "node": lambda size, index: FIRST_NODE + index,
    "host": lambda size, index: size // 2 + FIRST_HOST + index,
    "router": lambda size, index: size - _LAST - index,
}
"""Which address of a segment of that size the interface of that index has, among those of its kind."""


def segment_addresses(topology: Topology, wired: Wiring) -> tuple[Shares, Addresses]:
    """The segments' networks and the machines' addresses. Raises UsageError where nodeCIDR is too small."""
    networks = topology.network.node_cidrs
    if topology.all_links:
        ghosts = [(entry.name, 0) for entry in fakes.nodes(topology) if entry.spec.fake]
        members = {segment.name: _members(segment, wired) for segment in wired.segments}
        if ghosts:
            members[NOWHERE] = {"node": ghosts}
        shares = _shares(networks, members)
    else:
        # Fake nodes have their places among the others.
        nodes = [(entry.name, 0) for entry in fakes.nodes(topology)]
        hosts = [(name, 0) for name in topology.hosts]
        _require_room(networks, len(nodes), len(hosts))
        name = wired.segments[0].name
        members = {name: {"node": nodes, "host": hosts}}
        shares = {name: networks}
    found: dict[str, dict[int, InterfaceAddress]] = {}
    for name, kinds in members.items():
        for kind, interfaces in kinds.items():
            for index, (machine, number) in enumerate(interfaces):
                ips = (str(one[_PLACES[kind](one.num_addresses, index)]) for one in shares[name])
                found.setdefault(machine, {})[number] = InterfaceAddress(name, tuple(ips))
    return shares, {
        name: tuple(numbered[number] for number in sorted(numbered))
        for name, numbered in found.items()
    }


def _require_room(networks: tuple[IPNetwork, ...], nodes: int, hosts: int) -> None:
    for machines in networks:
        room = machines.num_addresses // 2
        if nodes > room - FIRST_NODE:
            raise UsageError(f"nodeCIDR {machines} has no room for {nodes} nodes")
        if hosts > room - FIRST_HOST - 1:
            raise UsageError(f"nodeCIDR {machines} has no room for {hosts} hosts")


def _members(segment: Segment, wired: Wiring) -> _Members:
    """Everybody's first link to it comes before anybody's second, so that a second one moves few."""
    order = {name: index for index, name in enumerate(wired.kinds)}
    links: dict[str, int] = {}
    turns = []
    for port in segment.ports:
        links[port.machine] = turn = links.get(port.machine, -1) + 1
        turns.append((turn, order[port.machine], port))
    members: dict[Kind, list[_Interface]] = {"node": [], "host": [], "router": []}
    for _, _, port in sorted(turns, key=lambda entry: entry[:2]):
        members[wired.kinds[port.machine]].append((port.machine, port.number))
    return members


def _shares(networks: tuple[IPNetwork, ...], members: Mapping[str, _Members]) -> Shares:
    prefixes = [_prefix(network, members) for network in networks]
    return {
        name: tuple(
            _part(network, prefix, -1 if name == NOWHERE else index)
            for network, prefix in zip(networks, prefixes, strict=True)
        )
        for index, name in enumerate(members)
    }


def _part(network: IPNetwork, prefix: int, index: int) -> IPNetwork:
    """The share of that index, from the end where it is negative."""
    size = 2 ** (network.max_prefixlen - prefix)
    return ip_network((network[index * size % network.num_addresses], prefix))


def _prefix(network: IPNetwork, members: Mapping[str, _Members]) -> int:
    """Of every segment's share of a network. Raises UsageError."""
    usual = SEGMENT_PREFIX[network.version]
    least = network.prefixlen + (len(members) - 1).bit_length()
    largest = max(members, key=lambda name: _bits(members[name]))
    prefix = min(max(usual, least), network.max_prefixlen - _bits(members[largest]))
    if prefix < least:
        raise UsageError(
            f"nodeCIDR {network} has no room for {len(members)} segments as large as that of "
            f"{largest or 'the fake nodes'}"
        )
    return prefix


def _bits(members: _Members) -> int:
    """Of the smallest share that holds them: nodes in its lower half, hosts and routers in its upper one."""
    lower = FIRST_NODE + len(members.get("node", ()))
    upper = FIRST_HOST + len(members.get("host", ())) + len(members.get("router", ())) + 1
    return (max(lower, upper) - 1).bit_length() + 1
