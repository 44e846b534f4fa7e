"""One node of a running lab: its pods' runtime, its kubelet, its proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.clock import now_ns
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.kubelet import Kubelet
from testbed.controllers.timing import Delays, KubeletTiming
from testbed.errors import MissingFeature
from testbed.events import Record
from testbed.fabric.machine import Machine
from testbed.kernel import netns, sysctl
from testbed.kernel.run import Shell
from testbed.lab.host_ports import HostPorts
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.pod_links import Links
from testbed.lab.proxy_http import ProxyHttp, Subject
from testbed.model.objects import Node
from testbed.podnet.network import NodeNetwork
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.ruleset import Backend
from testbed.runtime.netns import Namespaces, NetnsRuntime, OfNode, Programs
from testbed.store import Store


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What all nodes of a lab share."""

    store: Store
    record: Record
    programs: Programs
    namespaces: Namespaces | None
    """Where those of pods come from; None: they are made here."""
    network: Callable[[str], NodeNetwork]
    """What a node has of the pod network; it has it already."""
    links: Links
    """How its pods are joined to a node."""
    backends: Mapping[int, Backend]
    """By IP family, the primary one first: each has a proxy of its own on every node."""
    proxy: Callable[[str, int, Shell], ProxyLoop]
    """Of (node, IP family, the node's shell)."""
    external: Callable[[str, int, Shell], NodeProxy] | None
    """Somebody else's proxy, where there are no back ends: of (node, its namespace, its shell)."""
    timing: KubeletTiming
    delays: Delays
    heartbeats: Heartbeats
    seed: str
    lock_file: Callable[[str], str]
    """Path of a node's own xtables lock: the host's is not ours, and nodes must not wait for each other."""


class LabNode:
    """A node that runs."""

    def __init__(self, machine: Machine, namespace: int, parts: NodeParts) -> None:
        self.name = machine.name
        self.addresses = tuple(address.ip for address in machine.addresses)
        self.namespace = namespace
        self._shell = Shell(namespace, {"XTABLES_LOCKFILE": parts.lock_file(machine.name)})
        network = parts.network(machine.name)
        self.runtime = NetnsRuntime(
            machine.name,
            namespace,
            parts.links(machine.name, namespace, network),
            parts.programs,
            ipv6=any(one.version == 6 for one in self.addresses),
            of_node=OfNode(
                self.addresses,
                HostPorts(self._shell, namespace, [one.version for one in self.addresses]),
            ),
            namespaces=parts.namespaces,
        )
        self.kubelet = Kubelet(
            machine.name,
            parts.store,
            self.runtime,
            parts.record,
            now_ns,
            timing=parts.timing,
            delays=parts.delays,
            seed=parts.seed,
            heartbeats=parts.heartbeats,
        )
        loops = {
            family: parts.proxy(machine.name, family, self._shell) for family in parts.backends
        }
        self.proxies: dict[int, NodeProxy] = {**loops}
        """By IP family, as kube-proxy's proxiers; somebody else's is the primary family's."""
        self.http: ProxyHttp | None = None
        """None: somebody else's proxy answers for itself."""
        if parts.external is not None:
            primary = self.addresses[0].version
            self.proxies[primary] = parts.external(machine.name, namespace, self._shell)
        else:
            self.http = ProxyHttp(
                Subject(
                    machine.name,
                    namespace,
                    tuple(loops.values()),
                    lambda: parts.store.snapshot().get(Node, "", machine.name),
                ),
                parts.record,
            )
        self._proxying = False
        with netns.entered(namespace):
            refused = sysctl.write(
                (name.removeprefix("net.").replace(".", "/"), value)
                for back_end in parts.backends.values()
                for name, value in back_end.sysctls.items()
            )
        if refused:
            raise MissingFeature(
                f"the kernel does not take {', '.join(refused)} on node {self.name}",
                "load the module that has it (ip_vs for ipv4/vs), or take kernel: uml",
            )

    def start_proxy(self) -> None:
        """Let the proxy begin; it programs what there is, at once. Idempotent."""
        if not self._proxying:
            self._proxying = True
            if self.http is not None:
                self.http.start()
            for proxy in self.proxies.values():
                proxy.start()

    async def stop(self) -> None:
        """Stop acting, and kill the node's pods: it has lost its power."""
        self.runtime.cut()
        await self.kubelet.stop()
        if self._proxying:
            for proxy in self.proxies.values():
                await proxy.stop()
            if self.http is not None:
                self.http.stop()
        for uid in self.runtime.pods():
            await self.runtime.remove_sandbox(uid)
        self._shell.close()

    @property
    def shell(self) -> Shell:
        """Runs commands on the node, in order with its proxy's own."""
        return self._shell

    async def rules(self) -> str:
        """The service rules in the kernel now, as the tool prints them."""
        return "".join([await proxy.observed() for proxy in self.proxies.values()])
