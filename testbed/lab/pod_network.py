"""The pod network of a running lab: each node's follows the Node objects in the store, as its agent would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.clock import now_ns
from testbed.errors import TestbedError
from testbed.events import Event
from testbed.ip import IPAddress, IPNetwork
from testbed.kernel.netlink import NetlinkError
from testbed.kernel.run import Shell
from testbed.lab.backends import masquerade_tool
from testbed.lab.setting import Setting
from testbed.lab.speakers import Speakers
from testbed.model.fakes import is_fake
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.nodes import Node
from testbed.model.topology import Topology
from testbed.podnet.direct import direct_routes
from testbed.podnet.masquerade import commands
from testbed.podnet.network import Member, NodeNetwork, Site
from testbed.podnet.networks import network_of, router_daemons
from testbed.runtime.node_network import NodeWiring
from testbed.store import Change, Snapshot, Update

_TELL_S = 1.0
"""From one word of what is still missing to the next."""


@dataclass(slots=True)
class _Joined:
    """A node that runs."""

    site: Site
    namespace: int
    wiring: NodeWiring
    network: NodeNetwork
    due: asyncio.Handle | None = None
    """When it looks at the Node objects again."""
    trouble: str = ""
    held: bool = False
    """It is cut off from the control plane."""


class LabPodNetwork:
    """All nodes of one lab. `control_plane`: where the API server is, and the namespace's descriptor."""

    def __init__(
        self, setting: Setting, control_plane: tuple[Site, int], speakers: Speakers
    ) -> None:
        self._topology = topology = setting.topology
        self._network = network_of(topology)
        self._cni = topology.network.cni
        self._pod_mtu = topology.network.pod_mtu
        self._tool = masquerade_tool(topology)
        self._masquerades = topology.network.masquerades
        self._store = setting.store
        self._record = setting.record
        self._delays = setting.delays
        self.speakers = speakers
        """Daemons that bring routes, where that is how the nodes hear of each other's pods."""
        self._joined: dict[str, _Joined] = {}
        self._beside: frozenset[str] = frozenset()
        """Machines that are no nodes, with daemons."""
        self._away: Mapping[IPAddress, str] = {}
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self._hiding: dict[str, asyncio.Task[None]] = {}
        """By node: its masquerading rules under way."""
        self._site, namespace = control_plane
        self._control_plane = NodeWiring(self._site.name, namespace)
        self._store.watch(self._changed)

    async def follow(self, topology: Topology, namespaces: Mapping[str, int]) -> None:
        """The lab is to be another one now; `namespaces` are those of machines that are no nodes.

        What routers run is of the topology, as they have no objects in the store.
        """
        daemons = router_daemons(topology)
        for name in [name for name in self._beside if name not in daemons]:
            await self.speakers.end(name)
        for name, daemon in daemons.items():
            self.speakers.configure(name, namespaces[name], daemon)
        self._beside = frozenset(daemons)
        if topology != self._topology:
            self._topology, self._network = topology, network_of(topology)
            members = members_of(self._store.snapshot())
            for name in self._joined:
                self._look(name, members)

    def join(self, places: Iterable[tuple[Site, int]]) -> None:
        """Nodes that start, each with its namespace: all have what they need when this returns. One whose
        Node object is not in the store gets nothing, and no pods.

        Raises NetlinkError, MissingFeature.
        """
        sites = dict(places)
        self._announce(sites)
        for site, namespace in sites.items():
            nothing = NodeNetwork(pod_mtu=site.mtu)
            wiring = NodeWiring(site.name, namespace)
            self._joined[site.name] = _Joined(site, namespace, wiring, nothing)
        members = members_of(self._store.snapshot())
        for name, joined in self._joined.items():
            if not joined.held:
                self._look(name, members)

    def hide(self, name: str, shell: Shell) -> None:
        """Let a node hide its pods from what is outside, where its network does; `settled` waits for it."""
        if wanted := commands(self._joined[name].network.masquerade, self._tool):
            self._hiding[name] = asyncio.create_task(shell.run_all(wanted))

    def rewired(self, site: Site) -> None:
        """A node that runs hangs on other cables now."""
        joined = self._joined[site.name]
        joined.site = replace(site, services=joined.site.services)
        joined.wiring.rewired()
        self._hears(site.name)

    def announce(self, name: str, services: tuple[IPNetwork, ...]) -> None:
        """A node is to tell routers of these addresses, and of no others."""
        joined = self._joined[name]
        if joined.site.services != services:
            joined.site = replace(joined.site, services=services)
            self._look(name, members_of(self._store.snapshot()))

    def leave(self, name: str) -> None:
        """A node that is about to lose its power: what it runs for the network is not started again."""
        self.speakers.abandon(name)
        if (hiding := self._hiding.pop(name, None)) is not None:
            hiding.cancel()
        joined = self._joined.pop(name, None)
        if joined is not None and joined.due is not None:
            joined.due.cancel()
            self._is_it_quiet()

    async def settled(self, progress: Callable[[str], None]) -> None:
        """Return when every node has heard of every other, and has what it needs. Raises TestbedError."""
        hiding, self._hiding = self._hiding, {}
        await asyncio.gather(*hiding.values())
        await self._caught_up.wait()
        while lacking := self._without_routes():
            progress(lacking)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._have_routes(), _TELL_S)

    async def _have_routes(self) -> None:
        while self._without_routes():
            self.speakers.changed.clear()
            await self.speakers.changed.wait()

    def _without_routes(self) -> str:
        """What daemons have still to bring to the nodes that run: routes to each other's pods."""
        there = {pods for one in self._joined.values() for pods in one.network.pod_cidrs}
        absent = {
            name: self.speakers.missing(name, one.network.awaits & there)
            for name, one in self._joined.items()
        }
        count = sum(map(len, absent.values()))
        if not count:
            return ""
        name = next(name for name, missing in absent.items() if missing)
        routes = "1 route" if count == 1 else f"{count:,} routes"
        text = f"{routes} to come by BGP; {name} has none to {absent[name][0]}"
        return f"{text}; {self.speakers.trouble}" if self.speakers.trouble else text

    def of(self, name: str) -> NodeNetwork:
        """What a node that runs has."""
        return self._joined[name].network

    def addresses(self, name: str) -> tuple[IPAddress, ...]:
        """What a machine has in the pod network itself, where pods may see it under these; of a host none."""
        joined = self._joined.get(name)
        return tuple(own.ip for _, own in joined.network.addresses) if joined is not None else ()

    def lead_away(self, away: Mapping[IPAddress, str]) -> None:
        """Pod addresses that are not on the node of their range, but on another: lead all nodes there."""
        if away != self._away:
            self._away = dict(away)
            members = members_of(self._store.snapshot())
            for name in self._joined:
                self._apply(name, members)

    @property
    def trouble(self) -> str:
        """What the first node whose kernel refused something says; "" when all is well."""
        said = (f"{name}: {one.trouble}" for name, one in self._joined.items() if one.trouble)
        return next(said, "")

    def hold(self, node: str) -> None:
        """A node that does not reach the control plane hears of no other (a `control_touch.Listener`)."""
        if (joined := self._joined.get(node)) is not None:
            joined.held = True

    def release(self, node: str) -> None:
        """It hears what it has missed."""
        joined = self._joined.get(node)
        if joined is not None and joined.held:
            joined.held = False
            self._hears(node)

    def view(self) -> dict[str, Any]:
        """What `inspect` says of it; `trouble`: what a node's kernel has refused."""
        mtus = [joined.network.pod_mtu for joined in self._joined.values()]
        return {
            "cni": self._cni.routes,
            "plugins": self._cni.conflist is not None,
            "podMTU": min(mtus, default=None),
            "ipMasq": self._masquerades,
            "trouble": self.trouble,
        }

    def _announce(self, sites: Iterable[Site]) -> None:
        """Let each node's agent say in its Node object what the others need of it."""
        snapshot = self._store.snapshot()
        updates = []
        for site in sites:
            node = snapshot.get(Node, "", site.name)
            member = _member(node) if node is not None else None
            if node is None or member is None:
                continue
            told = {**member.annotations, **self._network.annotations(site, member)}
            if told != member.annotations:
                updates.append(Update(with_meta(node, annotations=told)))
        if updates:
            self._store.apply(updates)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if not any(isinstance(one.object, Node) and _is_news(one) for one in changes):
            return
        loop = asyncio.get_running_loop()
        loop.call_soon(self._reach_pods)
        for name, joined in self._joined.items():
            if joined.due is None:
                # Each has a watch of its own, and hears of it in its own time.
                late_s = self._delays.watch_s() if self._delays.watch_s is not None else 0.0
                joined.due = loop.call_later(late_s, self._hears, name)
                self._caught_up.clear()

    def _is_it_quiet(self) -> None:
        if not any(joined.due for joined in self._joined.values()):
            self._caught_up.set()

    def _hears(self, name: str) -> None:
        joined = self._joined[name]
        joined.due, joined.trouble = None, ""
        self._is_it_quiet()
        if joined.held:
            return
        self._announce([joined.site])  # somebody may have taken it away
        try:
            self._look(name, members_of(self._store.snapshot()))
        except (NetlinkError, TestbedError) as error:
            joined.trouble = str(error)
            detail = {"error": joined.trouble}
            self._record(Event(now_ns(), "podnet", name, "failed", "", 0, detail))

    def _look(self, name: str, members: Mapping[str, Member]) -> None:
        """Make a node's network what it should be by now."""
        joined = self._joined[name]
        if name in members:  # else its object is gone, and with it what its agent goes by
            network = self._network.plan(joined.site, tuple(members.values()))
            pod_mtu = self._pod_mtu or network.pod_mtu
            joined.network = replace(network, pod_mtu=pod_mtu)
            self._apply(name, members)

    def _apply(self, name: str, members: Mapping[str, Member]) -> None:
        joined = self._joined[name]
        start_ns, version = now_ns(), self._store.resource_version
        detours = self._network.detours(joined.site, members, self._away)
        changes = joined.wiring.apply(joined.network, detours)
        if changes:
            end_ns = now_ns()
            detail = {"start_ns": start_ns, "changes": changes, "members": len(members)}
            self._record(Event(end_ns, "podnet", name, "synced", "", version, detail))
        if joined.network.daemon is not None:
            self.speakers.configure(name, joined.namespace, joined.network.daemon)

    def _reach_pods(self) -> None:
        """The control plane answers pods: by the nodes that it shares a segment with, where pods come under
        their own addresses.
        """
        members = () if self._masquerades else members_of(self._store.snapshot()).values()
        beside = frozenset(
            route
            for route in direct_routes(members)
            if any(route.via in link.network for link in self._site.links)
        )
        self._control_plane.apply(NodeNetwork(pod_mtu=0, routes=beside))


def members_of(snapshot: Snapshot) -> dict[str, Member]:
    """The live nodes that have addresses and ranges, by name."""
    return {
        node.meta.name: member
        for node in snapshot.list(Node)
        if (member := _member(node)) is not None
    }


def _member(node: Node) -> Member | None:
    if is_fake(node) or not node.internal_ips or not node.pod_cidrs:
        return None
    return Member(
        node.meta.name,
        tuple(map(ip_address, node.internal_ips)),
        tuple(map(ip_network, node.pod_cidrs)),
        node.meta.annotations,
    )


def _is_news(change: Change) -> bool:
    """Whether a change of a Node is one for the others' pod network: not its heartbeats."""
    now, before = change.object, change.previous
    old = _member(before) if isinstance(before, Node) else None
    new = _member(now) if isinstance(now, Node) and change.type != "DELETED" else None
    return old != new
