"""What IPVS mode does to a new connection: rules that look into sets, then the kernel's load balancer.

IPVS stands in LOCAL_IN behind table filter, and in LOCAL_OUT between the tables nat and filter. What it
sends to a destination passes LOCAL_OUT again, whose table nat has done with it, and POSTROUTING.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from testbed.proxy.iptables_rules import Surroundings
from testbed.proxy.packet import Outcome, Packet, UnknownRuleError, host_port, split_host_port
from testbed.proxy.tracer import State, Tracer, outcome_of

_PROTOCOLS = {"-t": "tcp", "-u": "udp", "--sctp-service": "sctp"}
_SPREAD = frozenset({"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sed", "nq", "ovf", "mh", "twos"})
"""Schedulers that share new connections out: any destination may be next. (lblc and lblcr favour one for each
address, and leave it as soon as it has more connections than its weight, 1.)"""
_BY_CLIENT = frozenset({"sh"})
"""Schedulers that send a client where they sent it before."""
_BY_SERVICE = frozenset({"dh", "fo"})
"""Schedulers that give a service address one destination: which one is the kernel's affair."""

Contains = Callable[[tuple[str, ...], str], bool]


@dataclass(frozen=True, slots=True)
class _Server:
    """A virtual server."""

    text: str
    sticks: bool
    destinations: tuple[tuple[str, int], ...]
    lines: tuple[str, ...]


class IpvsTracer:
    """Reads a node's plan, or what was observed (a `NodeTracer`).

    An affinity list is a client's destination at a virtual server, as `ipvsadm -a` names it.
    """

    def __init__(
        self, tables: Mapping[str, Mapping[str, Iterable[str]]], local_ips: Iterable[str]
    ) -> None:
        """Parses everything. Raises UnknownRuleError."""
        self._bound = frozenset(
            key.partition("/")[0] for key in tables["address"] if key != "device"
        )
        self._node_ips = frozenset(local_ips)
        local = self._node_ips | self._bound
        self._rules = Tracer({name: tables[name] for name in ("filter", "nat")}, local)
        self._servers = dict(_server(key, tuple(lines)) for key, lines in tables["ipvs"].items())
        self._around = Surroundings(local, sets=_sets(tables["ipset"]))

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """See `NodeTracer`."""
        rules, around = self._rules, self._around
        states = rules.hook("PREROUTING", ("nat",), [State(1.0, packet, ())], around)
        inwards = [one for one in states if around.is_local(one.packet.dst)]
        onwards = [one for one in states if not around.is_local(one.packet.dst)]
        inwards = rules.hook("INPUT", ("filter",), inwards, around)
        onwards = rules.hook("FORWARD", ("filter",), onwards, around)
        onwards = rules.hook("POSTROUTING", ("nat",), onwards, around)
        return self._ends(inwards, frozenset(recent)) + tuple(map(outcome_of, onwards))

    def from_node(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """See `NodeTracer`."""
        rules, around = self._rules, self._around
        if packet.dst in self._bound and packet.src in self._node_ips:
            # The local route of a bound address has that address as its preferred source.
            packet = replace(packet, src=packet.dst)
        states = rules.hook("OUTPUT", ("nat",), [State(1.0, packet, ())], around)
        served = [one for one in states if self._server_of(one.packet)]
        others = [one for one in states if not self._server_of(one.packet)]
        others = rules.hook("OUTPUT", ("filter",), others, around)
        others = rules.hook("POSTROUTING", ("nat",), others, around)
        inwards = [one for one in others if around.is_local(one.packet.dst)]
        onwards = [one for one in others if not around.is_local(one.packet.dst)]
        inwards = rules.hook("INPUT", ("filter",), inwards, around)
        return self._ends(served, frozenset(recent)) + tuple(map(outcome_of, inwards + onwards))

    def _ends(self, states: Iterable[State], recent: frozenset[str]) -> tuple[Outcome, ...]:
        """Where packets for this node end: at what IPVS picks, or here."""
        found: list[Outcome] = []
        for state in states:
            server = self._server_of(state.packet)
            if state.verdict or server is None:
                found.append(outcome_of(state))
            else:
                found += self._balanced(state, server, recent)
        return tuple(found)

    def _server_of(self, packet: Packet) -> _Server | None:
        return self._servers.get((packet.protocol, host_port(packet.dst, packet.dport)))

    def _balanced(self, state: State, server: _Server, recent: frozenset[str]) -> list[Outcome]:
        packet = state.packet
        if not server.destinations:
            # The kernel answers itself: port unreachable.
            return [outcome_of(replace(state, verdict="REJECT", rules=(*state.rules, server.text)))]
        around = replace(self._around, served=(packet.protocol, packet.dst, packet.dport))
        picks = list(zip(server.destinations, server.lines, strict=True))
        kept = [pick for pick in picks if server.sticks and pick[1] in recent]
        found: list[State] = []
        for (ip, port), line in kept or picks:
            picked = replace(packet, dst=ip, dport=port, translated=True)
            if server.sticks:
                picked = replace(picked, remembered=(*packet.remembered, line))
            share = state.probability / len(kept or picks)
            found.append(State(share, picked, (*state.rules, server.text, line)))
        found = self._rules.hook("OUTPUT", ("filter",), found, around)
        return [outcome_of(one) for one in self._rules.hook("POSTROUTING", ("nat",), found, around)]


def _server(key: str, lines: tuple[str, ...]) -> tuple[tuple[str, str], _Server]:
    """(protocol, `ip:port`) of a virtual server, and how it picks. Raises UnknownRuleError."""
    flag, _, socket = key.partition(" ")
    head, *destinations = lines
    verb, scheduler, persistent = _head(head, key)
    if verb != "-A" or scheduler not in _SPREAD | _BY_CLIENT | _BY_SERVICE:
        raise UnknownRuleError(f"not understood of a virtual server: {head!r}")
    sticks = persistent or scheduler in _BY_CLIENT | _BY_SERVICE
    found = tuple(_destination(line, key) for line in destinations)
    return (_PROTOCOLS[flag], socket), _Server(head, sticks, found, tuple(destinations))


def _head(line: str, key: str) -> tuple[str, str, bool]:
    """The verb, the scheduler and the persistence of `-A -t ip:port -s rr -p 10800 -b mh-port`."""
    verb, _, rest = line.partition(f" {key} ")
    words = rest.split()
    options = dict(zip(words[::2], words[1::2], strict=False))
    if (
        len(words) % 2
        or set(options) - {"-s", "-p", "-b"}
        or options.get("-b", "mh-port") != "mh-port"
    ):
        raise UnknownRuleError(f"not understood of a virtual server: {line!r}")
    return verb, options.get("-s", ""), "-p" in options


def _destination(line: str, key: str) -> tuple[str, int]:
    before, _, rest = line.partition(f"-a {key} -r ")
    socket, _, options = rest.partition(" ")
    if before or options != "-m -w 1":
        raise UnknownRuleError(f"not understood of a destination: {line!r}")
    return split_host_port(socket)


def _sets(lines: Mapping[str, Iterable[str]]) -> dict[str, Contains]:
    """Set name -> whether it holds something. Raises UnknownRuleError."""
    kinds: dict[str, str] = {}
    items: dict[str, set[str]] = {}
    for line in (line for chain in lines.values() for line in chain):
        verb, name, what, *_ = line.split()
        if verb == "create":
            kinds[name] = what
            items.setdefault(name, set())
        elif verb == "add":
            items.setdefault(name, set()).add(what)
        else:
            raise UnknownRuleError(f"not understood of a set: {line!r}")
    return {name: _contains(kind, frozenset(items[name])) for name, kind in kinds.items()}


def _contains(kind: str, items: frozenset[str]) -> Contains:
    if kind == "bitmap:port":
        return lambda ips, port: port.partition(":")[2] in items
    if kind == "hash:ip":
        return lambda ips, port: ips[0] in items
    if kind == "hash:ip,port":
        return lambda ips, port: f"{ips[0]},{port}" in items
    if kind == "hash:ip,port,ip":
        return lambda ips, port: f"{ips[0]},{port},{ips[1]}" in items
    if kind == "hash:ip,port,net":
        return lambda ips, port: _in_a_network(items, f"{ips[0]},{port},", ips[1])
    raise UnknownRuleError(f"sets of type {kind} are not understood")


def _in_a_network(items: frozenset[str], head: str, ip: str) -> bool:
    networks = (item.removeprefix(head) for item in items if item.startswith(head))
    return any(ip_address(ip) in ip_network(network) for network in networks)
