"""`bgp`, Calico's way without an overlay: every node runs a BIRD that tells the others where its pods are.

Sources: Calico, confd/etc/calico/confd/templates/bird.cfg.template, bird_aggr.cfg.template and
bird_ipam.cfg.template; node/filesystem/etc/service/available/bird/run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from zlib import crc32

from testbed.ip import IPAddress
from testbed.model.bgp import BGP
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.bird import Bfd, Reach, Session, Speaker, Timers, configuration
from testbed.podnet.network import Daemon, Member, NodeNetwork, Route, Site
from testbed.spelling import nearest


class BorderGateway:
    """A `PodNetwork`."""

    needs: frozenset[str] = frozenset({"bird"})
    overhead = 0

    def __init__(self, topology: Topology) -> None:
        self._settings = topology.network.bgp
        self._pools = topology.network.pod_cidrs

    def mistakes(self, topology: Topology) -> list[Mistake]:
        return list(_unknown_reflectors(topology))

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        return {}

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        reflects = own.name in self._settings.route_reflectors
        speaker = Speaker(
            name=own.name,
            router_id=router_id(own.name, own.addresses),
            asn=self._settings.as_number,
            addresses=own.addresses,
            ranges=own.pod_cidrs,
            pools=self._pools,
            sessions=tuple(self._with_nodes(own, members)),
            transit=reflects,
        )
        return NodeNetwork(
            pod_mtu=site.mtu,
            pod_cidrs=own.pod_cidrs,
            daemon=Daemon(
                "bird",
                configuration(speaker, timers(self._settings)),
                {session.name: session.peer for session in speaker.sessions},
            ),
            awaits=frozenset(
                pods for member in members if member is not own for pods in member.pod_cidrs
            ),
        )

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        """None: a node tells of each pod address of another's range that is on it."""
        return frozenset()

    def _with_nodes(self, own: Member, members: Sequence[Member]) -> Iterator[Session]:
        """The mesh of all nodes, or those with route reflectors. The higher address connects, as in Calico:
        two connections at once would undo each other's graceful restart.
        """
        reflectors = self._settings.route_reflectors
        for member in members:
            if member is own or (reflectors and not {own.name, member.name} & set(reflectors)):
                continue
            for here, there in zip(own.addresses, member.addresses, strict=True):
                yield Session(
                    peer=member.name,
                    address=there,
                    source=here,
                    asn=self._settings.as_number,
                    reach=Reach.ANYWHERE,
                    passive=int(there) > int(here),
                    client=own.name in reflectors and member.name not in reflectors,
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
