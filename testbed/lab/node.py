"""One node of a running lab: its pods' runtime, its kubelet, its proxy."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.clock import now_ns
from testbed.controllers.kubelet import Kubelet
from testbed.errors import MissingFeature
from testbed.fabric.machine import Machine
from testbed.kernel import netns, sysctl
from testbed.kernel.run import Shell
from testbed.lab.host_ports import HostPorts
from testbed.lab.node_parts import NodeParts
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.proxy_http import ProxyHttp, Subject
from testbed.model.objects.nodes import Node
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.ruleset import Backend
from testbed.runtime.netns import NetnsRuntime, OfNode


class LabNode:
    """A node that runs."""

    def __init__(self, machine: Machine, namespace: int, parts: NodeParts) -> None:
        self.name = machine.name
        self.addresses = tuple(address.ip for address in machine.addresses)
        self.namespace = namespace
        self._shell = Shell(namespace, {"XTABLES_LOCKFILE": parts.lock_file(machine.name)})
        self.runtime = self._runtime(parts)
        self.kubelet = self._kubelet(parts)
        loops = {family: parts.proxy(self.name, family, self._shell) for family in parts.backends}
        self.proxies: dict[int, NodeProxy] = {**loops}
        """By IP family, as kube-proxy's proxiers; somebody else's is the primary family's."""
        self.http: ProxyHttp | None = None
        """None: somebody else's proxy answers for itself."""
        if parts.external is not None:
            primary = self.addresses[0].version
            self.proxies[primary] = parts.external(self.name, namespace, self._shell)
        else:
            self.http = self._http(tuple(loops.values()), parts)
        self._proxying = False
        self._set_sysctls(parts.backends.values())

    def _runtime(self, parts: NodeParts) -> NetnsRuntime:
        """What makes its pods."""
        families = [one.version for one in self.addresses]
        return NetnsRuntime(
            self.name,
            self.namespace,
            parts.links(self.name, self.namespace, parts.network(self.name)),
            parts.programs,
            ipv6=6 in families,
            of_node=OfNode(self.addresses, HostPorts(self._shell, self.namespace, families)),
            namespaces=parts.namespaces,
        )

    def _kubelet(self, parts: NodeParts) -> Kubelet:
        return Kubelet(
            self.name,
            parts.store,
            self.runtime,
            parts.record,
            now_ns,
            timing=parts.timing,
            delays=parts.delays,
            seed=parts.seed,
            heartbeats=parts.heartbeats,
        )

    def _http(self, loops: tuple[ProxyLoop, ...], parts: NodeParts) -> ProxyHttp:
        """What the proxy says of itself to whoever asks."""

        def node() -> Node | None:
            return parts.store.snapshot().get(Node, "", self.name)

        return ProxyHttp(Subject(self.name, self.namespace, loops, node), parts.record)

    def _set_sysctls(self, backends: Iterable[Backend]) -> None:
        """As the back ends want the kernel on this node. Raises MissingFeature."""
        with netns.entered(self.namespace):
            refused = sysctl.write(
                (name.removeprefix("net.").replace(".", "/"), value)
                for back_end in backends
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
