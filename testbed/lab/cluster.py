"""A running cluster: brought from one topology to the next, changing only what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.apiserver.topology_manifests import completed
from testbed.controllers.decision import Controller
from testbed.controllers.timing import Delays
from testbed.dns.search import pod_resolv_conf
from testbed.edge.ingress_objects import with_classes
from testbed.errors import NotFound
from testbed.fabric.machine import Fabric, Machine
from testbed.fabric.partition import networks_of
from testbed.fabric.plan import control_plane_alone, plan, without
from testbed.faults.link_fault import LinkFault
from testbed.ip import IPAddress
from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.lab.authority import Authority
from testbed.lab.backends import pod_network_needs
from testbed.lab.control_touch import ControlTouch
from testbed.lab.controllers import LabControllers
from testbed.lab.differences import ObjectKey, allocated, key_of, writes
from testbed.lab.docker_lab import DockerLab
from testbed.lab.fixed import require_same
from testbed.lab.ingress import IngressControllers
from testbed.lab.ingress import Parts as IngressParts
from testbed.lab.link_faults import LinkFaults
from testbed.lab.load_balancers import LoadBalancers
from testbed.lab.mininet import MininetLab
from testbed.lab.names import require_live
from testbed.lab.node import LabNode
from testbed.lab.node_parts import node_parts
from testbed.lab.outside_dns import OutsideDns
from testbed.lab.pod_network import LabPodNetwork
from testbed.lab.power import Power
from testbed.lab.proxies import Proxies
from testbed.lab.recipes import PodNetwork, Recipes
from testbed.lab.setting import Setting
from testbed.lab.speakers import Speakers
from testbed.model.addressing import name_servers, plan_addresses
from testbed.model.objects.metadata import Object
from testbed.model.objects.pods import Pod
from testbed.model.shorthand import expand
from testbed.model.topology import Topology
from testbed.podnet.network import Site
from testbed.proxy.ruleset import Backend
from testbed.runtime.interface import Underlay
from testbed.runtime.underlay import NetnsUnderlay
from testbed.store import Delete


@dataclass(slots=True)
class _Applied:
    topology: Topology
    objects: dict[ObjectKey, Object]


class Cluster:
    """Nodes, pods and control plane of one lab. One event loop owns it."""

    def __init__(self, setting: Setting) -> None:
        """What it is made of, from the wires up; nothing runs yet but its control plane. Raises
        MissingFeature, NotBuiltYet.
        """
        topology, store, programs = setting.topology, setting.store, setting.programs
        self._setting = setting
        self.name = setting.name
        self.store = store
        self.programs = programs
        self.nodes: dict[str, LabNode] = {}
        self._applied: _Applied | None = None
        self._hosts: list[str] = []
        self._between: dict[str, str] = {}
        self._addresses: dict[str, tuple[IPAddress, ...]] = {}
        self.mininet = MininetLab(topology, setting.folder, self._inject_link)
        self.docker = DockerLab(topology, setting.folder, programs)
        self._underlay: Underlay = NetnsUnderlay(self.docker.nodes or self.mininet.machines)
        # The control plane is there before anything that speaks to it.
        fabric = plan(topology)
        self._underlay.apply(control_plane_alone(fabric))
        self._proxies = Proxies(setting, self.namespace, lambda node: self._addresses[node][0])
        self.watches = self._proxies.watches
        """What each node's proxy hears of the store."""
        self.companions = self._proxies.companions
        _require_features(topology, self._proxies.backends.values())
        self.power = Power(self.nodes, self._underlay, self.companions, self.docker.kill)
        self.outside_dns = OutsideDns(store, setting.processes, setting.record)
        self.recipes = programs.recipes = self._recipes()
        home = _site(fabric.machine(fabric.control_plane)), self._underlay.control_plane
        speakers = Speakers(setting.folder / "bgp", setting.processes, setting.record)
        self.pod_network = LabPodNetwork(setting, home, speakers)
        self.load_balancers = LoadBalancers(setting, self.namespace, self.pod_network)
        self.ingress = programs.ingress = _ingress(setting)
        self._parts = node_parts(setting, self.pod_network, self._proxies, self.docker.pods)
        self.touch = ControlTouch(self.nodes, self.watches, setting.record)
        self.touch.listeners += [self.pod_network, self.load_balancers, self.ingress]
        self.link_faults = LinkFaults(self._underlay, self.touch)
        self.changed = asyncio.Event()
        """Set by every change of the store; whoever waits for one clears it."""
        self.store.watch(lambda changes: self.changed.set())
        self._controllers = LabControllers(
            setting, self._parts.heartbeats, self.load_balancers.controllers
        )

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
        return self._setting.delays

    @property
    def proxy_label(self) -> str:
        """The mode's label in results, as in `iptables-nft`."""
        return self._proxies.label

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """All that may still have something to write."""
        return self._controllers.every

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
        self._setting.record(await self.link_faults.inject(fault))

    async def apply(self, topology: Topology) -> None:
        """Make the cluster what the topology says, as far as writing it goes. Raises UsageError."""
        before = self._applied
        if before is not None:
            require_same(before.topology, topology)
        wanted = self._objects(topology)
        fabric = plan(topology)
        await self._wire(topology, fabric)
        await self.outside_dns.follow(topology, fabric, self._underlay.namespace)
        self.programs.images = topology.images
        applied = before.objects if before else {}
        self.store.apply(
            self._controllers.fakes.leaving(before.topology if before else None, topology)
        )
        self.store.apply(writes(applied, wanted, self.store.snapshot()))
        self._applied = _Applied(topology, {key_of(item): item for item in wanted})
        routers = [machine.name for machine in fabric.machines if machine.kind == "router"]
        await self.pod_network.follow(topology, {name: self.namespace(name) for name in routers})
        self.load_balancers.follow(topology)
        old = plan(before.topology) if before is not None else fabric
        for name in self.nodes:
            if old.attached(name) != fabric.attached(name):
                self.pod_network.rewired(_site(fabric.machine(name)))
        known = {*self.nodes, *self.power.off}
        self._start_nodes(
            [one for one in fabric.machines if one.kind == "node" and one.name not in known]
        )

    def _objects(self, topology: Topology) -> tuple[Object, ...]:
        """What the store shall hold of a topology, with the addresses that services get."""
        snapshot = self.store.snapshot()
        objects = with_classes(completed(expand(topology)), snapshot)
        objects += self.ingress.authority.secrets(topology.ingress)
        return allocated(objects, snapshot, topology.network.service_cidrs)

    async def _wire(self, topology: Topology, fabric: Fabric) -> None:
        """Bring machines and links to what is planned; a node that is planned no longer ends with its pods."""
        addresses = {
            machine.name: tuple(address.ip for address in machine.addresses)
            for machine in fabric.machines
        }
        # A node is known by its address: where that is another one, so is the node.
        have = (*self.nodes, *self.power.off)
        gone = [name for name in have if addresses.get(name) != self._addresses[name]]
        await self._remove_nodes(gone)
        if self._applied is not None and gone:
            self._underlay.apply(without(plan(self._applied.topology), gone))
        await self.docker.prepare(one for one in fabric.machines if one.name not in self.power.off)
        self._underlay.apply(fabric)
        await self.link_faults.follow(fabric, networks_of(fabric, plan_addresses(topology)))
        self._addresses = addresses
        self._hosts = [machine.name for machine in fabric.machines if machine.kind == "host"]
        between = ("router", "switch") if topology.all_links else ()
        self._between = {one.name: one.kind for one in fabric.machines if one.kind in between}

    def _start_nodes(self, machines: Sequence[Machine]) -> None:
        namespace = self._underlay.namespace
        self.pod_network.join((_site(machine), namespace(machine.name)) for machine in machines)
        for machine in machines:
            node = LabNode(machine, namespace(machine.name), self._parts)
            self.pod_network.hide(machine.name, node.shell)
            self.load_balancers.node_started(machine.name)
            self.nodes[machine.name] = node
            if self.link_faults.in_force:
                self.touch.doubt([machine.name])
            node.kubelet.start()

    async def stop_node(self, name: str) -> int:
        """Cut a node's power; returns the instant (ns). Raises CheckFailed where it has none."""
        self.power.require(name)
        self.pod_network.leave(name)
        self.load_balancers.node_stopped(name)
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

    def resolv_conf(self, namespace: str | None) -> str:
        """Text of the resolv.conf of a pod in `namespace`; None: of a machine."""
        topology = self.topology
        if namespace is None:
            return self.outside_dns.resolv_conf
        if not topology.dns.replicas:
            return "# no DNS server: the topology says dns.replicas: 0\n"
        return pod_resolv_conf(namespace, topology.dns.domain, name_servers(topology)).text()

    async def _remove_nodes(self, names: list[str]) -> None:
        for name in names:
            if name not in self.power.off:
                await self.stop_node(name)
            self.power.off.discard(name)
            pods = [pod for pod in self.store.list(Pod) if pod.spec.node_name == name]
            self.store.apply(
                [Delete("Pod", pod.meta.namespace, pod.meta.name, pod.meta.uid) for pod in pods]
            )

    def _recipes(self) -> Recipes:
        """What pods' containers are made of."""
        seen = PodNetwork(
            self._setting.topology.dns.domain,
            lambda: name_servers(self.topology),
            lambda node: tuple(map(str, self._addresses[node])),
            lambda: self.outside_dns.resolv_conf,
        )
        return Recipes(self.store, self._setting.folder / "containers", seen, self.docker.shown)


def _require_features(topology: Topology, backends: Iterable[Backend]) -> None:
    """Raises MissingFeature."""
    needs = pod_network_needs(topology).union(*(one.needs for one in backends))
    also = [Feature.IPV6] if 6 in topology.network.families else []
    also += [Feature.SCTP] if topology.serves_sctp else []
    features.require(*map(Feature, sorted(needs)), *also, Feature.CONNTRACK)


def _ingress(setting: Setting) -> IngressControllers:
    return IngressControllers(
        IngressParts(
            setting.store,
            setting.folder / "ingress",
            setting.processes,
            setting.record,
            Authority(),
            setting.delays.watch_s,
        )
    )


def _site(machine: Machine) -> Site:
    return Site(machine.name, machine.all_addresses, machine.mtu)
