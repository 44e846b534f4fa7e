"""A running cluster: brought from one topology to the next, changing only what differs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from testbed.apiserver.topology_manifests import completed
from testbed.clock import now_ns, now_s
from testbed.controllers import builtin
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.loop import ControllerLoop
from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.controllers.timing import Delays, KubeletTiming, NodeTiming
from testbed.dns.search import pod_resolv_conf
from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.events import Event, Record
from testbed.fabric.machine import Machine
from testbed.fabric.partition import networks_of
from testbed.fabric.plan import control_plane_alone, plan, without
from testbed.faults.link_fault import LinkFault
from testbed.ip import IPAddress
from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.kernel.run import Shell
from testbed.lab import proof
from testbed.lab.backends import backend, companion, pod_network_needs
from testbed.lab.companion import Companions
from testbed.lab.control_touch import ControlTouch
from testbed.lab.differences import ObjectKey, allocated, key_of, writes
from testbed.lab.docker_lab import DockerLab
from testbed.lab.fakes import Fakes
from testbed.lab.link_faults import LinkFaults
from testbed.lab.mininet import MininetLab
from testbed.lab.names import require_live
from testbed.lab.node import LabNode, NodeParts
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.node_watch import NodeWatch
from testbed.lab.planner import Planner
from testbed.lab.pod_links import Host, own_links, plugin_links
from testbed.lab.pod_network import LabPodNetwork
from testbed.lab.power import Power
from testbed.lab.programs import Programs
from testbed.lab.proxy_config import proxy_config
from testbed.lab.recipes import PodNetwork, Recipes
from testbed.lab.settled import missing
from testbed.lab.speakers import Speakers
from testbed.lab.sticky_addresses import StickyAddresses
from testbed.model.addressing import dns_ips, plan_addresses
from testbed.model.objects import Object, Pod
from testbed.model.shorthand import expand
from testbed.model.topology import Topology
from testbed.model.wiring import wiring
from testbed.podnet.addresses import OwnAddresses
from testbed.podnet.network import Site
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.runtime.interface import Underlay
from testbed.runtime.netns import path_of
from testbed.runtime.underlay import NetnsUnderlay
from testbed.store import Delete, Store

PROXY_PATIENCE_S = 1.0
"""A new node's proxy waits for all pods to be ready before it writes its first rules, until nothing has moved
for this long."""
_REST = 9.0
"""After a look at what is missing comes a rest of this many times as long: the pods need the CPU more."""
EXTERNAL = "external"
"""The proxy mode that has no back end of ours."""
_FIXED = ("network", "proxy", "timing", "kernel", "runtime")
"""What cannot change while a lab runs."""
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Applied:
    topology: Topology
    objects: dict[ObjectKey, Object]


class Cluster:
    """Nodes, pods and control plane of one lab. One event loop owns it."""

    def __init__(
        self, folder: Path, topology: Topology, store: Store, programs: Programs, record: Record
    ) -> None:
        self.name = folder.name
        self.store = store
        self.nodes: dict[str, LabNode] = {}
        self.watches: dict[str, NodeWatch] = {}
        """What each node's proxy hears of the store."""
        self._folder = folder
        self.programs = programs
        self._record = record
        self.mininet = MininetLab(topology, folder, self._inject_link)
        self.docker = DockerLab(topology, folder, programs)
        self._underlay: Underlay = NetnsUnderlay(self.docker.nodes or self.mininet.machines)
        # The control plane is there before anything that speaks to it.
        fabric = plan(topology)
        self._underlay.apply(control_plane_alone(fabric))
        self._backends = {
            family: backend(topology, family)
            for family in topology.network.families
            if topology.proxy.mode != EXTERNAL
        }
        needs = pod_network_needs(topology).union(*(one.needs for one in self._backends.values()))
        also = [Feature.IPV6] if 6 in topology.network.families else []
        also += [Feature.SCTP] if topology.serves_sctp else []
        features.require(*map(Feature, sorted(needs)), *also, Feature.CONNTRACK)
        self.companions = Companions(companion(topology), programs.processes)
        self.power = Power(self.nodes, self._underlay, self.companions, self.docker.kill)
        servers = dns_ips(topology.network.service_cidrs)
        network = PodNetwork(
            topology.dns.domain,
            lambda: servers if self.topology.dns.replicas else (),
            lambda node: tuple(map(str, self._addresses[node])),
        )
        shown = self.docker.shown
        self.recipes = programs.recipes = Recipes(store, folder / "containers", network, shown)
        delays = _delays(topology, self.name)
        api = fabric.machine(fabric.control_plane)
        self.pod_network = LabPodNetwork(
            topology,
            store,
            record,
            delays,
            (_site(api), self._underlay.control_plane),
            speakers=Speakers(folder / "bgp", programs.processes, record),
        )
        self._parts = self._node_parts(topology, delays)
        self.touch = ControlTouch(self.nodes, self.watches, record)
        self.touch.listeners.append(self.pod_network)
        self.link_faults = LinkFaults(self._underlay, self.touch)
        self._applied: _Applied | None = None
        self._hosts: list[str] = []
        self._between: dict[str, str] = {}
        self._addresses: dict[str, tuple[IPAddress, ...]] = {}
        self._changed = asyncio.Event()
        self.store.watch(lambda changes: self._changed.set())
        timing = topology.timing
        of_nodes = builtin.of_nodes(
            self._parts.heartbeats,
            NodeTiming(
                timing.node_monitor_period_s,
                timing.node_monitor_grace_period_s,
                timing.not_ready_toleration_s,
            ),
        )
        self._asked = tuple([one.begun() for one in (*builtin.CONTROLLERS, *of_nodes)])
        self._controllers = ControllerLoop(self.store, self._asked, now_s, self._parts.delays)
        self._controllers.start()
        self._fakes = Fakes(store, topology, self._parts.delays)

    @property
    def applied(self) -> bool:
        """Whether it has been asked to be anything yet."""
        return self._applied is not None

    @property
    def topology(self) -> Topology:
        """What the cluster was last asked to be."""
        assert self._applied is not None
        return self._applied.topology

    @property
    def delays(self) -> Delays:
        """What all of its watches and writes wait for."""
        return self._parts.delays

    @property
    def proxy_label(self) -> str:
        """The mode's label in results, as in `iptables-nft`."""
        return next((one.name for one in self._backends.values()), EXTERNAL)

    def machines(self) -> dict[str, str]:
        """Name -> node or host."""
        nodes = (*self.nodes, *sorted(self.power.off))
        return {**dict.fromkeys(nodes, "node"), **dict.fromkeys(self._hosts, "host")}

    def places(self) -> dict[str, str]:
        """`machines`, and the routers and switches that the topology names."""
        return {**self.machines(), **self._between}

    def node(self, name: str) -> LabNode:
        """A node that runs. Raises NotFound, CheckFailed where it is stopped, UsageError where it is fake."""
        self.power.require(name)
        require_live(name, self.store.snapshot())
        if name not in self.nodes:
            raise NotFound(f"no node {name!r}", f"there is {', '.join(self.nodes)}")
        return self.nodes[name]

    def addresses(self, machine: str) -> tuple[IPAddress, ...]:
        """A node's or host's addresses, one per IP family, the primary one first."""
        return self._addresses[machine]

    def namespace(self, machine: str) -> int:
        """File descriptor of a node's or host's namespace."""
        return self._underlay.namespace(machine)

    @property
    def control_plane(self) -> int:
        """File descriptor of the namespace in which the control plane listens: nodes and pods reach it."""
        return self._underlay.control_plane

    async def _inject_link(self, fault: LinkFault) -> None:
        """As somebody at Mininet's CLI asks."""
        self._record(await self.link_faults.inject(fault))

    async def apply(self, topology: Topology) -> None:
        """Make the cluster what the topology says, as far as writing it goes. Raises UsageError."""
        before = self._applied
        if before is not None:
            _require_same(before.topology, topology)
        cidrs = topology.network.service_cidrs
        objects = completed(expand(topology))
        wanted = allocated(objects, self.store.snapshot(), cidrs)
        fabric = plan(topology)
        addresses = {
            machine.name: tuple(address.ip for address in machine.addresses)
            for machine in fabric.machines
        }
        # A node is known by its address: where that is another one, so is the node.
        have = (*self.nodes, *self.power.off)
        gone = [name for name in have if addresses.get(name) != self._addresses[name]]
        await self._remove_nodes(gone)
        if before is not None and gone:
            self._underlay.apply(without(plan(before.topology), gone))
        await self.docker.prepare(one for one in fabric.machines if one.name not in self.power.off)
        self._underlay.apply(fabric)
        await self.link_faults.follow(fabric, networks_of(fabric, plan_addresses(topology)))
        self._addresses = addresses
        self._hosts = [machine.name for machine in fabric.machines if machine.kind == "host"]
        between = ("router", "switch") if topology.all_links else ()
        self._between = {one.name: one.kind for one in fabric.machines if one.kind in between}
        self.programs.images = topology.images
        applied = before.objects if before else {}
        self.store.apply(self._fakes.leaving(before.topology if before else None, topology))
        self.store.apply(writes(applied, wanted, self.store.snapshot()))
        self._applied = _Applied(topology, {key_of(item): item for item in wanted})
        await self.pod_network.follow(
            topology,
            {
                machine.name: self._underlay.namespace(machine.name)
                for machine in fabric.machines
                if machine.kind == "router"
            },
        )
        old = plan(before.topology) if before is not None else fabric
        for name in self.nodes:
            if old.wires(name) != fabric.wires(name):
                self.pod_network.rewired(_site(fabric.machine(name)))
        known = {*self.nodes, *self.power.off}
        self._start_nodes(
            [one for one in fabric.machines if one.kind == "node" and one.name not in known]
        )

    def _start_nodes(self, machines: Sequence[Machine]) -> None:
        namespace = self._underlay.namespace
        self.pod_network.join(
            (_site(machine), namespace(machine.name)) for machine in machines
        )
        for machine in machines:
            node = LabNode(machine, namespace(machine.name), self._parts)
            self.pod_network.hide(machine.name, node.shell)
            self.nodes[machine.name] = node
            if self.link_faults.in_force:
                self.touch.doubt([machine.name])
            node.kubelet.start()

    async def stop_node(self, name: str) -> int:
        """Cut a node's power; returns the instant (ns). Raises CheckFailed where it has none."""
        self.power.require(name)
        self.pod_network.leave(name)
        t_ns = await self.power.cut(name)
        self.touch.forget(name)
        del self.watches[name]
        return t_ns

    async def boot_node(self, name: str) -> bool:
        """Switch a stopped node on; whether it was one."""
        if name not in self.power.off:
            return False
        machine = plan(self.topology).machine(name)
        await self.docker.prepare([machine])
        if not self.power.switched_on(name):
            return False
        self._start_nodes([machine])
        self.nodes[name].start_proxy()
        return True

    async def settle(self, timeout_s: float, progress: Progress) -> None:
        """Return when every pod answers a packet and every node's rules are in place.

        Raises OutOfTimeOrRoom that says what is still missing.
        """
        deadline_s = now_s() + timeout_s
        lacking = ""

        def say(what: str) -> None:
            nonlocal lacking
            lacking = what
            progress(what)

        try:
            async with asyncio.timeout(timeout_s):
                await self._control_plane_settled(say)
                say(f"the pod network{self._pod_network_trouble()}")
                await self.pod_network.settled(say)
                self._start_proxies()
                say(self._what_proxies_promise())
                version = self.store.resource_version
                await asyncio.gather(*(proxy.synced(version) for _, proxy in self._proxies()))
        except TimeoutError:
            raise OutOfTimeOrRoom(
                f"not ready after {timeout_s:g} s: {lacking}{self._proxy_trouble()}",
                "give it longer with --timeout, or see why with `testbed inspect`",
            ) from None
        progress("a packet from every pod")
        silent = await proof.unanswered(self._pings(), max(1.0, deadline_s - now_s()))
        if silent:
            shown = ", ".join(map(str, sorted(silent, key=str)[:5]))
            raise OutOfTimeOrRoom(f"{len(silent)} addresses answer no packet: {shown}")
        if self.topology.network.cni.conflist is not None:
            progress("the CNI plug-ins' own CHECK of every pod")
            nodes = self.nodes.values()
            for found in await asyncio.gather(*(node.runtime.check_links() for node in nodes)):
                for trouble in found:
                    progress(f"CHECK: {trouble} (disableCheck: true in the list: not asked)")

    async def _control_plane_settled(self, progress: Progress) -> None:
        """Return when every pod is ready and no controller has anything to write."""
        # Rules that change with every pod that starts are work for nothing; but a pod may need a service to
        # become ready.
        later = asyncio.get_running_loop().call_later
        patience = later(PROXY_PATIENCE_S, self._start_proxies)
        told = ""
        try:
            while True:
                self._changed.clear()
                began_s = now_s()
                asked = (*self._asked, *self._fakes.controllers)
                lacking = missing(self.store.snapshot(), asked, began_s)
                if not lacking:
                    return
                if lacking != told:
                    patience.cancel()
                    patience = later(PROXY_PATIENCE_S, self._start_proxies)
                    told = lacking
                    progress(lacking)
                await asyncio.sleep(_REST * (now_s() - began_s))
                await self._changed.wait()
        finally:
            patience.cancel()

    def _pod_network_trouble(self) -> str:
        return f": {self.pod_network.trouble}" if self.pod_network.trouble else ""

    def _proxy_trouble(self) -> str:
        """What the first proxy whose rules were refused says; "" when all are well."""
        errors = (f"; {node.name}: {proxy.error}" for node, proxy in self._proxies() if proxy.error)
        return next(errors, "")

    def _what_proxies_promise(self) -> str:
        proxy = self.topology.proxy
        if proxy.mode != EXTERNAL:
            return "rules on every node"
        if proxy.external.ready is None:
            return "the external proxy runs on every node (without proxy.external.ready: no more than that)"
        return "the external proxy is ready on every node"

    def _proxies(self) -> Iterator[tuple[LabNode, NodeProxy]]:
        for node in self.nodes.values():
            for proxy in node.proxies.values():
                yield node, proxy

    def _start_proxies(self) -> None:
        for node in self.nodes.values():
            node.start_proxy()

    def resolv_conf(self, namespace: str | None) -> str:
        """Text of the resolv.conf of a pod in `namespace`; None: of a machine, which has no DNS server."""
        topology = self.topology
        if namespace is None or not topology.dns.replicas:
            return "# no DNS server: this machine is no pod, or the topology says dns.replicas: 0\n"
        servers = dns_ips(topology.network.service_cidrs)
        return pod_resolv_conf(namespace, topology.dns.domain, servers).text()

    def _pings(self) -> dict[int, list[IPAddress]]:
        by_node: dict[str, list[IPAddress]] = {}
        for pod in self.store.list(Pod):
            over = pod.status.phase in TERMINAL_PHASES
            addresses = map(ip_address, () if over else pod.status.pod_ips)
            by_node.setdefault(pod.spec.node_name, []).extend(addresses)
        names = list(self.nodes)
        pings = {
            self.nodes[name].namespace: targets
            for name, targets in proof.sources(names, by_node).items()
        }
        machines = [ip for node in self.nodes.values() for ip in node.addresses]
        return pings | {self._underlay.namespace(host): machines for host in self._hosts}

    async def _remove_nodes(self, names: list[str]) -> None:
        for name in names:
            if name not in self.power.off:
                await self.stop_node(name)
            self.power.off.discard(name)
            pods = [pod for pod in self.store.list(Pod) if pod.spec.node_name == name]
            self.store.apply(
                [Delete("Pod", pod.meta.namespace, pod.meta.name, pod.meta.uid) for pod in pods]
            )

    def _node_parts(self, topology: Topology, delays: Delays) -> NodeParts:
        timing = topology.timing
        locks = self._folder / "locks"
        locks.mkdir(exist_ok=True)

        configs = {family: proxy_config(topology, family) for family in self._backends}
        planners = {family: Planner(self._backends[family], configs[family]) for family in configs}

        sticky = (
            StickyAddresses(self.store, self.pod_network.lead_away)
            if topology.network.sticky_ips
            else None
        )

        if topology.network.cni.conflist is not None:
            host = Host(self._folder, lambda node: {"XTABLES_LOCKFILE": str(locks / node)})
            links = plugin_links(topology, host, self._record)
        else:
            own = sticky.of_node if sticky else lambda node, ranges: OwnAddresses(ranges)
            links = own_links(own)

        def proxy(node: str, family: int, shell: Shell) -> ProxyLoop:
            netns = path_of(self._underlay.namespace(node))

            async def again(code: int) -> None:
                detail = {"code": code}
                self._record(Event(now_ns(), "proxy", node, "process-ended", "", 0, detail))
                await loop.restart()

            loop = ProxyLoop(
                self.watches.setdefault(node, NodeWatch(self.store, delays.watch_s)),
                node,
                self._backends[family],
                self.companions.access(node, netns, shell, again),
                self._record,
                config=configs[family],
                periods=Periods(topology.proxy.min_sync_period_s, topology.proxy.sync_period_s),
                plan=planners[family].plan,
            )
            return loop

        return NodeParts(
            store=self.store,
            record=self._record,
            programs=self.programs,
            namespaces=self.docker.pods,
            network=self.pod_network.of,
            links=links,
            backends=self._backends,
            proxy=proxy,
            external=self._external(topology, delays) if topology.proxy.mode == EXTERNAL else None,
            timing=KubeletTiming(
                relist_s=timing.relist_period_s,
                backoff_initial_s=timing.restart_backoff_s,
                backoff_max_s=timing.restart_backoff_max_s,
            ),
            delays=delays,
            heartbeats=Heartbeats(timing.node_monitor_grace_period_s),
            seed=self.name,
            lock_file=lambda node: str(locks / node),
        )

    def _external(
        self, topology: Topology, delays: Delays
    ) -> Callable[[str, int, Shell], NodeProxy]:
        # Only these labs pay for an HTTP server.
        from testbed.lab.external import ExternalNode, ExternalProxies

        proxies = ExternalProxies(topology, self._folder, self.programs.processes, self._record)

        def external(name: str, namespace: int, shell: Shell) -> NodeProxy:
            watch = self.watches.setdefault(name, NodeWatch(self.store, delays.watch_s))
            address = str(self._addresses[name][0])
            return proxies.new(ExternalNode(name, namespace, address, shell), watch)

        return external


def _delays(topology: Topology, lab: str) -> Delays:
    timing = topology.timing
    chance = random.Random(f"delays of {lab}")
    return Delays(
        watch_s=None if timing.watch_delay.none else partial(timing.watch_delay.draw, chance),
        api_s=None if timing.api_delay.none else partial(timing.api_delay.draw, chance),
    )


def _site(machine: Machine) -> Site:
    return Site(machine.name, machine.all_addresses, machine.mtu)


def _require_same(before: Topology, after: Topology) -> None:
    changed = [key for key in _FIXED if getattr(before, key) != getattr(after, key)]
    if before.dns.domain != after.dns.domain:
        changed.append("dns.domain")
    if wiring(before).control_plane != wiring(after).control_plane:
        changed.append("where the control plane is (network.controlPlane, the first switch of links)")
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot change while the lab runs",
            f"`testbed down {before.name}` first",
        )


def lab_event(kind: str, **detail: object) -> Event:
    """An event of the lab itself, now."""
    return Event(now_ns(), "lab", "", kind, "", 0, detail)
