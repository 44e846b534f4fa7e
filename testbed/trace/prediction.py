"""What the rules foretell for a connection: every way that it may take, with its probability.

From node to node: each node's tracer says what its rules do, the address plan says where the packet goes then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from testbed.proxy.packet import NodeTracer, Outcome, Packet, host_port, is_loopback

DELIVERED, UNREACHABLE, UNKNOWN = "delivered", "unreachable", "unknown"


@dataclass(frozen=True, slots=True)
class World:
    """Who has which address, of one IP family: names of pods, nodes and hosts, and each pod's node."""

    pods: Mapping[str, str]
    """ip -> name"""
    pod_nodes: Mapping[str, str]
    """pod's name -> node"""
    nodes: Mapping[str, tuple[str, ...]]
    """name -> its addresses"""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overlay: Mapping[str, str] = field(default_factory=dict)
    """node -> its own address on the link to pods of other nodes, where there is one to all of them"""
    gateways: Mapping[str, str] = field(default_factory=dict)
    """node -> its own address on the link to its own pods, where that has one"""
    balanced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """a load balancer's address -> the nodes that packets for it from outside are led to; none: to a balancer
    that ends connections
    """
    stopped: frozenset[str] = frozenset()
    """nodes without power"""

    def hidden_as(self, node: str, packet: Packet) -> str:
        """The address that a node puts in place of a source: that of the link by which the packet leaves."""
        to = self.pod_nodes.get(self.pods.get(packet.dst, ""), "")
        of_link = self.gateways if to == node else self.overlay if to else {}
        return of_link.get(node) or _own(self.nodes[node], packet.src)

    def owner(self, ip: str) -> str:
        """The machine or pod that has an address; "" where nobody has."""
        if ip in self.pods:
            return self.pods[ip]
        machines = {**self.nodes, **self.hosts}
        return next((name for name, ips in machines.items() if ip in ips), "")


@dataclass(frozen=True, slots=True)
class Way:
    """How it may end. `verdict`: delivered (to `who`, which sees `source`), or what becomes of it otherwise:
    rejected, dropped, closed, unreachable, unknown (a rule is not understood).
    """

    probability: float
    verdict: str
    who: str = ""
    source: str = ""
    destination: str = ""
    """`ip:port` in the end."""
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(node, the rules it meets there), in order."""
    remembered: tuple[str, ...] = ()
    """Affinity lists that it is put into, `node list`."""
    reason: str = ""


def ways(
    packet: Packet, start: str, world: World, tracers: Mapping[str, NodeTracer]
) -> tuple[Way, ...]:
    """Every way of a new connection that leaves from `start`, a pod, node or host."""
    return tuple(_Paths(world, tracers).of(packet, start))


def kept_ways(
    packet: Packet, start: str, world: World, tracers: Mapping[str, NodeTracer]
) -> tuple[Way, ...]:
    """The ways of a client that session affinity knows from before, whichever endpoint it had."""
    lists = {one for way in ways(packet, start, world, tracers) for one in way.remembered}
    found: list[Way] = []
    for entry in sorted(lists):
        node, _, name = entry.partition(" ")
        found += _Paths(world, tracers, {node: (name,)}).of(packet, start)
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Paths:
    """`recent`: which affinity lists of a node know the client."""

    world: World
    tracers: Mapping[str, NodeTracer]
    recent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, packet: Packet, start: str) -> Iterable[Way]:
        world = self.world
        if start in world.nodes:
            outcomes = self.tracers[start].from_node(packet, self.recent.get(start, ()))
            return self._onwards(start, outcomes)
        target = world.owner(packet.dst)
        node = world.pod_nodes.get(start, "") or target
        if node in world.nodes:
            return self._arriving(node, packet)
        if target in world.hosts:
            end = host_port(packet.dst, packet.dport)
            return (Way(1.0, DELIVERED, target, packet.src, end),)
        if led_to := world.balanced.get(packet.dst):
            share = 1 / len(led_to)
            return (
                replace(way, probability=share * way.probability)
                for one in led_to
                for way in self._arriving(one, packet)
            )
        if packet.dst in world.balanced:
            return (Way(1.0, UNKNOWN, reason=_proxied(packet.dst)),)
        return (Way(1.0, UNREACHABLE, reason=f"{start} has no route to {packet.dst}"),)

    def _arriving(self, node: str, packet: Packet) -> Iterable[Way]:
        if node in self.world.stopped:
            return (Way(1.0, "dropped", reason=f"{node} is stopped"),)
        outcomes = self.tracers[node].from_wire(packet, self.recent.get(node, ()))
        return self._onwards(node, outcomes)

    def _onwards(self, node: str, outcomes: Iterable[Outcome]) -> Iterable[Way]:
        for outcome in outcomes:
            way = Way(
                outcome.probability,
                outcome.verdict,
                destination=outcome.destination,
                steps=((node, outcome.rules),),
                remembered=tuple(f"{node} {one}" for one in outcome.packet.remembered),
                reason=outcome.reason,
            )
            if outcome.verdict == "accepted":
                yield from self._let_through(way, node, outcome.packet)
            else:
                yield way

    def _let_through(self, way: Way, node: str, packet: Packet) -> Iterable[Way]:
        """Where a packet goes that a node's rules let through."""
        world = self.world
        seen = replace(packet, mark=0, translated=False, masqueraded=False)
        if packet.masqueraded:
            seen = replace(seen, src=world.hidden_as(node, seen))
        owner = world.owner(seen.dst)
        here = owner == node or world.pod_nodes.get(owner) == node or is_loopback(seen.dst)
        next_node = world.pod_nodes.get(owner, owner)
        if here or owner in world.hosts:
            yield replace(way, verdict=DELIVERED, who=owner or node, source=seen.src)
        elif next_node in world.nodes:
            for after in self._arriving(next_node, seen):
                yield replace(
                    after,
                    probability=way.probability * after.probability,
                    steps=(*way.steps, *after.steps),
                    remembered=(*way.remembered, *after.remembered),
                )
        elif owner:  # whoever should answer is not there to say so, and the switch says nothing
            yield replace(way, verdict="dropped", reason=f"{owner} is fake")
        elif seen.dst in world.balanced:
            yield replace(way, verdict=UNKNOWN, reason=_proxied(seen.dst))
        else:
            yield replace(way, verdict=UNREACHABLE, reason=f"nobody has {seen.dst}")


def _proxied(address: str) -> str:
    return f"the balancer at {address} dials a node itself"


def _own(addresses: tuple[str, ...], like: str) -> str:
    """The node's address of the packet's family."""
    return next((ip for ip in addresses if (":" in ip) == (":" in like)), like)
