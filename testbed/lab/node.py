"""One node of a running lab: its pods' runtime, its kubelet, its proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.clock import now_ns
from testbed.controllers.kubelet import Kubelet
from testbed.controllers.timing import Delays, KubeletTiming
from testbed.events import Record
from testbed.fabric.plan import Machine
from testbed.kernel import netns, sysctl
from testbed.kernel.run import Shell
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.ruleset import Backend
from testbed.runtime.netns import NetnsRuntime, Start
from testbed.store import Store


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What all nodes of a lab share."""

    store: Store
    record: Record
    start: Start
    mtu: int
    backend: Backend
    proxy: Callable[[str, Backend, Shell], ProxyLoop]
    timing: KubeletTiming
    delays: Delays
    seed: str
    lock_file: Callable[[str], str]
    """Path of a node's own xtables lock: the host's is not ours, and nodes must not wait for each other."""


class LabNode:
    """A node that runs."""

    def __init__(self, machine: Machine, namespace: int, parts: NodeParts) -> None:
        assert isinstance(machine.pod_cidr, IPv4Network)
        self.name = machine.name
        self.address = machine.address.ip
        self.namespace = namespace
        self._shell = Shell(namespace, {"XTABLES_LOCKFILE": parts.lock_file(machine.name)})
        self.runtime = NetnsRuntime(
            machine.name, namespace, machine.pod_cidr, parts.mtu, parts.start
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
        )
        self.proxy = parts.proxy(machine.name, parts.backend, self._shell)
        self._proxying = False
        self._save = parts.backend.observe()
        with netns.entered(namespace):
            sysctl.write(
                (name.removeprefix("net.").replace(".", "/"), value)
                for name, value in parts.backend.sysctls.items()
            )

    def start_proxy(self) -> None:
        """Let the proxy begin; it programs what there is, at once. Idempotent."""
        if not self._proxying:
            self._proxying = True
            self.proxy.start()

    async def stop(self) -> None:
        """Stop acting, and kill the node's pods."""
        await self.kubelet.stop()
        if self._proxying:
            await self.proxy.stop()
        for uid in self.runtime.pods():
            await self.runtime.remove_sandbox(uid)
        self._shell.close()

    async def rules(self) -> str:
        """The service rules in the kernel now, as the tool prints them."""
        return await self._shell.output(self._save)
