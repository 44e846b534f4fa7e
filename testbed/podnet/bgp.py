"""`bgp`, Calico's way without an overlay: every node runs a BIRD that tells the others where its pods are.

Sources: Calico, confd/etc/calico/confd/templates/bird.cfg.template, bird_aggr.cfg.template and
bird_ipam.cfg.template; node/filesystem/etc/service/available/bird/run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from zlib import crc32

from testbed.fabric.machine import Fabric, Interface, Machine
from testbed.fabric.plan import plan
from testbed.ip import IPAddress, IPNetwork
from testbed.model.bgp import BGP
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.bird import Bfd, Reach, Session, Speaker, Timers, configuration
from testbed.podnet.masquerade import calico
from testbed.podnet.network import Daemon, Member, Neighbour, NodeNetwork, Route, Site
from testbed.spelling import nearest

MOST_WITH_ARP = 16
"""Nodes of a mesh that ask for MAC addresses: 50 would need 2,450 entries of the 1,024 that there are."""


class BorderGateway:
    """A `PodNetwork`. Nodes speak with each other, and with the routers on their links that have an asn."""

    needs: frozenset[str] = frozenset({"bird"})
    overhead = 0

    def __init__(self, topology: Topology) -> None:
        self._settings = topology.network.bgp
        self._pools = topology.network.pod_cidrs if topology.network.cni.routes == "bgp" else ()
        self._service_pools = service_pools(topology)
        self._announces = topology.load_balancer.provider == "bgp"
        self._masquerades = topology.network.masquerades
        self._fabric = plan(topology)
        self._asns = _asns(topology, self._fabric)
        self._known_macs = topology.underlay is None
        routers = any(machine.asn is not None for machine in self._fabric.machines)
        said = self._settings.node_to_node_mesh_enabled
        self._mesh = not (routers or self._settings.route_reflectors) if said is None else said

    def mistakes(self, topology: Topology) -> list[Mistake]:
        return [*_unknown_reflectors(topology), *self._strangers()]

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        return {}

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        beside = tuple(self._with_routers(own.name))
        abroad = any(session.asn != self._asns[own.name] for session in beside)
        allowed = self._settings.num_allowed_local_as_numbers
        speaker = Speaker(
            name=own.name,
            router_id=router_id(own.name, own.addresses),
            asn=self._asns[own.name],
            ranges=own.pod_cidrs,
            pools=self._pools,
            sessions=(*self._with_nodes(own, members), *beside),
            transit=own.name in self._settings.route_reflectors,
            local_asns=int(abroad) if allowed is None else allowed,
            services=site.services if self._announces else None,
        )
        return NodeNetwork(
            pod_mtu=site.mtu,
            pod_cidrs=own.pod_cidrs,
            neighbours=self._neighbours(own, members),
            masquerade=calico(self._pools) if self._masquerades else (),
            daemon=self._daemon(speaker),
            awaits=frozenset(
                pods for member in members if member is not own for pods in member.pod_cidrs
            ),
        )

    def services_daemon(self, site: Site, own: Member) -> Daemon:
        """What a node runs that only tells routers of load balancers' addresses."""
        speaker = Speaker(
            name=own.name,
            router_id=router_id(own.name, own.addresses),
            asn=self._asns[own.name],
            ranges=(),
            pools=(),
            sessions=tuple(self._with_routers(own.name)),
            transit=False,
            services=site.services,
        )
        return self._daemon(speaker)

    def _neighbours(self, own: Member, members: Sequence[Member]) -> frozenset[Neighbour]:
        """Of a large mesh: all of a kernel's namespaces share an ARP table, which its pairs would overflow."""
        if not self._mesh or len(members) <= MOST_WITH_ARP or not self._known_macs:
            return frozenset()
        machines = {machine.name: machine for machine in self._fabric.machines}
        return frozenset(
            Neighbour(address.ip, there.mac, here.name)
            for member in members
            if member is not own and {member.name, own.name} <= machines.keys()
            for here, there in _shared(machines[own.name], machines[member.name])
            for address in there.addresses
        )

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        """None: a node tells of each pod address of another's range that is on it."""
        return frozenset()

    def routers(self) -> dict[str, Daemon]:
        """What runs on each router that speaks BGP."""
        return {
            machine.name: self._daemon(
                Speaker(
                    name=machine.name,
                    router_id=router_id(machine.name, [one.ip for one in machine.addresses]),
                    asn=machine.asn,
                    ranges=(),
                    pools=self._pools,
                    sessions=tuple(self._beside(machine)),
                    transit=True,
                    service_pools=self._service_pools,
                )
            )
            for machine in self._fabric.machines
            if machine.asn is not None
        }

    def _daemon(self, speaker: Speaker) -> Daemon:
        peers = {session.name: session.peer for session in speaker.sessions}
        return Daemon("bird", configuration(speaker, timers(self._settings)), peers)

    def _with_nodes(self, own: Member, members: Sequence[Member]) -> Iterator[Session]:
        """The mesh of all nodes, or those with route reflectors. The higher address connects, as in Calico:
        two connections at once would undo each other's graceful restart.
        """
        reflectors = set(self._settings.route_reflectors)
        for member in members:
            if member is own or member.name not in self._asns:
                continue
            if not self._mesh and not reflectors & {own.name, member.name}:
                continue
            for here, there in zip(own.addresses, member.addresses, strict=True):
                yield Session(
                    peer=member.name,
                    address=there,
                    source=here,
                    asn=self._asns[member.name],
                    reach=Reach.ANYWHERE,
                    passive=int(there) > int(here),
                    client=own.name in reflectors and member.name not in reflectors,
                )

    def _with_routers(self, name: str) -> Iterator[Session]:
        """Those of a node."""
        yield from self._beside(self._fabric.machine(name))

    def _beside(self, machine: Machine) -> Iterator[Session]:
        """With all speakers on its links of which one at least is a router: a session for each link and family.

        A router reflects among the nodes of its own autonomous system.
        """
        for other in self._fabric.machines:
            asn = self._asns.get(other.name)
            if asn is None or other is machine or other.kind == machine.kind == "node":
                continue
            for own, there in _shared(machine, other):
                for here, address in zip(own.addresses, there.addresses, strict=True):
                    yield Session(
                        peer=other.name,
                        address=address.ip,
                        source=here.ip,
                        asn=asn,
                        reach=Reach.LINK,
                        passive=int(address.ip) > int(here.ip),
                        client=machine.asn == asn and other.kind == "node",
                    )

    def _strangers(self) -> Iterator[Mistake]:
        """Nodes that would not hear of each other's pods, or hear of ways that no router knows."""
        speakers = [one for one in self._fabric.machines if one.name in self._asns]
        known = {one.name: {one.name} for one in speakers}
        for one in speakers:
            for other in speakers:
                speak = (
                    "router" in {one.kind, other.kind} or self._mesh or self._reflected(one, other)
                )
                if speak and any(_shared(one, other)):
                    together = known[one.name] | known[other.name]
                    known.update(dict.fromkeys(together, together))
        nodes = [one.name for one in speakers if one.kind == "node"]
        apart = [name for name in nodes if name not in known[nodes[0]]] if nodes else []
        if apart:
            yield Mistake(
                ("network", "cni"),
                f"no BGP speaker leads from {nodes[0]} to the pods of {', '.join(apart[:5])}",
                "give the routers between them an asn, or take cni: vxlan",
            )

    def _reflected(self, one: Machine, other: Machine) -> bool:
        return not {one.name, other.name}.isdisjoint(self._settings.route_reflectors)


def service_pools(topology: Topology) -> tuple[IPNetwork, ...]:
    """Where the load balancers' addresses are that nodes tell routers of."""
    if topology.load_balancer.provider != "bgp":
        return ()
    return tuple(
        network
        for pool in topology.load_balancer.all_pools.values()
        for one in pool.addresses
        for network in one.networks()
    )


def timers(settings: BGP) -> Timers:
    """Of all speakers of a cluster."""
    hold_s = int(settings.hold_time_s)
    keepalive_s = settings.keepalive_time_s
    bfd = settings.bfd
    return Timers(
        hold_s=hold_s,
        keepalive_s=hold_s // 3 if keepalive_s is None else int(keepalive_s),
        restart_s=int(settings.max_restart_time_s) if settings.graceful_restart else None,
        bfd=None if bfd is None else Bfd(round(bfd.interval_s * 1000), bfd.multiplier),
    )


def router_id(name: str, addresses: Sequence[IPAddress]) -> str:
    """Its IPv4 address; where it has none, a number of 32 bits that follows from its name."""
    for address in addresses:
        if isinstance(address, IPv4Address):
            return str(address)
    return str(IPv4Address(crc32(name.encode()) or 1))


def _asns(topology: Topology, fabric: Fabric) -> dict[str, int]:
    """The autonomous system of every speaker."""
    found = {}
    for machine in fabric.machines:
        if machine.kind == "node":
            own = topology.nodes[machine.name].asn if machine.name in topology.nodes else None
            found[machine.name] = own or topology.network.bgp.as_number
        elif machine.asn is not None:
            found[machine.name] = machine.asn
    return found


def _shared(one: Machine, other: Machine) -> Iterator[tuple[Interface, Interface]]:
    """Interfaces of the two that are on one segment."""
    for own in one.interfaces:
        for there in other.interfaces:
            if own.segment == there.segment and one is not other:
                yield own, there


def _unknown_reflectors(topology: Topology) -> Iterator[Mistake]:
    for index, name in enumerate(topology.network.bgp.route_reflectors):
        spec = topology.nodes.get(name)
        path = ("network", "bgp", "routeReflectors", index)
        if spec is None:
            meant = nearest(name, topology.nodes)
            hint = f"did you mean {meant}?" if meant else "route reflectors are nodes"
            yield Mistake(path, f"there is no node {name}", hint)
        elif spec.fake:
            yield Mistake(path, f"node {name} is fake: it speaks no BGP")
