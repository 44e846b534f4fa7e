"""The default runtime: a pod is a network namespace, its containers are processes in it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from testbed.errors import CheckFailed, NotFound
from testbed.fabric import sysctls
from testbed.ip import IPAddress
from testbed.kernel import netns, sysctl
from testbed.model.containers import Container
from testbed.model.objects.pods import SERVER_ANNOTATION, Pod
from testbed.podnet.addresses import Addresses
from testbed.runtime.interface import ContainerState, Executed
from testbed.runtime.pod_links import Attachment, PodLinks


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container's program is started; `netns` is a path that every process of the lab can open."""

    pod: Pod
    container: Container
    node: str
    addresses: tuple[IPAddress, ...]
    """One per IP family, the primary one first."""
    netns: str


class Started(Protocol):
    """A container's program: a process of its own, or a share of one that serves many pods."""

    def state(self) -> ContainerState:
        """How it is now."""

    def signal(self, signum: int) -> None:
        """Send a signal; no error when it has ended."""

    async def ended(self) -> None:
        """Return when it has ended."""


class Programs(Protocol):
    """What containers run."""

    async def start(self, place: Place) -> Started:
        """Start what a container's image stands for; returns when it serves or has ended. Raises NotYet."""

    async def execute(
        self, place: Place, started: Started | None, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        """Run a command in a container. Raises OutOfTimeOrRoom."""

    def forget(self, pod_uid: str) -> None:
        """A pod is no more."""


class Namespaces(Protocol):
    """Where the network namespaces of pods come from."""

    async def create(self, pod: Pod) -> int:
        """A new one: a descriptor, which the caller closes. Raises TestbedError."""

    async def remove(self, pod_uid: str) -> None:
        """The pod is no more, nor is anything that runs in its namespace. Idempotent."""


class OwnNamespaces:
    """Namespaces, and nothing else: one goes with its last descriptor (`Namespaces`)."""

    async def create(self, pod: Pod) -> int:
        return netns.create()

    async def remove(self, pod_uid: str) -> None:
        return


class PortMapper(Protocol):
    """Host ports of a node."""

    async def map(self, pod: Pod, addresses: Sequence[IPAddress], interface: str) -> None:
        """Pass on what comes to a pod's host ports. Raises TestbedError."""

    async def unmap(self, pod_uid: str) -> None:
        """A pod is no more."""


@dataclass(frozen=True, slots=True)
class OfNode:
    """What pods get that have no network of their own, and what those with one get on the node."""

    addresses: tuple[IPAddress, ...]
    ports: PortMapper


@dataclass(slots=True)
class _Sandbox:
    namespace: int
    addresses: Addresses
    attachment: Attachment | None
    """None: it is in the node's own namespace."""
    containers: dict[str, Started] = field(default_factory=dict)


def path_of(namespace: int) -> str:
    """A path by which every process of the lab can open the namespace."""
    return f"/proc/{os.getpid()}/fd/{namespace}"


class NetnsRuntime:
    """The pods of one node (a `PodRuntime`)."""

    def __init__(
        self,
        node: str,
        namespace: int,
        links: PodLinks,
        programs: Programs,
        *,
        ipv6: bool,
        of_node: OfNode | None = None,
        namespaces: Namespaces | None = None,
    ) -> None:
        """Without `of_node` there are no pods in the node's network, and no host ports. `ipv6`: whether
        pods may have IPv6 addresses.
        """
        self._node = node
        self._namespace = namespace
        self._links = links
        self._sysctls = (*(sysctls.IPV6 if ipv6 else sysctls.NO_IPV6), *sysctls.END)
        self._of_node = of_node
        self._namespaces = namespaces or OwnNamespaces()
        self._programs = programs
        self._sandboxes: dict[str, _Sandbox] = {}
        self._one_by_one = asyncio.Lock()

    async def create_sandbox(self, pod: Pod) -> tuple[str, ...]:
        """Make and wire the pod's namespace; returns its addresses. Raises TestbedError."""
        uid = pod.meta.uid
        if pod.spec.host_network and self._of_node is not None:
            self._sandboxes[uid] = _Sandbox(self._namespace, self._of_node.addresses, None)
            return tuple(map(str, self._of_node.addresses))
        await self._turn(pod)
        have = self._sandboxes.get(uid)
        if have is None:
            have = self._sandboxes[uid] = await self._attached(pod)
        if self._of_node is not None and have.attachment is not None and not self._links.maps_ports:
            await self._of_node.ports.map(pod, have.addresses, have.attachment.node_interface)
        return tuple(map(str, have.addresses))

    async def _attached(self, pod: Pod) -> _Sandbox:
        namespace = await self._namespaces.create(pod)
        with netns.entered(namespace):
            sysctl.write(self._sysctls)
        try:
            attachment = await self._links.attach(pod, namespace)
        except BaseException:
            os.close(namespace)
            await self._namespaces.remove(pod.meta.uid)
            raise
        return _Sandbox(namespace, attachment.addresses, attachment)

    def cut(self) -> None:
        """The node has lost its power."""
        self._links.cut()

    async def check_links(self) -> list[str]:
        """What is wrong with each pod's link that is not what it was made."""
        found: list[str] = []
        for uid, sandbox in list(self._sandboxes.items()):
            if sandbox.attachment is not None and uid in self._sandboxes:
                try:
                    await self._links.check(uid)
                except CheckFailed as failed:
                    found.append(str(failed))
        return found

    async def start_container(self, pod: Pod, container: Container) -> ContainerState:
        """Start the container's program; returns when it serves (or has ended)."""
        started = await self._programs.start(self.place(pod, container))
        self._sandboxes[pod.meta.uid].containers[container.name] = started
        return started.state()

    def place(self, pod: Pod, container: Container) -> Place:
        """Where a container of a pod is. Raises NotFound."""
        namespace = path_of(self.namespace(pod.meta.uid))
        addresses = self._sandboxes[pod.meta.uid].addresses
        return Place(pod, container, self._node, addresses, namespace)

    async def execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        """Run a command in a container. Raises OutOfTimeOrRoom when it has not ended by then, and NotFound."""
        started = self.started(pod.meta.uid).get(container.name)
        place = self.place(pod, container)
        return await self._programs.execute(place, started, argv, timeout_s)

    def containers(self, pod_uid: str) -> dict[str, ContainerState]:
        """State now of each container that was started, by name."""
        sandbox = self._sandboxes.get(pod_uid)
        if sandbox is None:
            return {}
        return {name: started.state() for name, started in sandbox.containers.items()}

    def signal(self, pod_uid: str, container: str, signum: int) -> None:
        """Send a signal to the container's process; no error when it has ended."""
        sandbox = self._sandboxes.get(pod_uid)
        if sandbox is not None and container in sandbox.containers:
            sandbox.containers[container].signal(signum)

    async def remove_sandbox(self, pod_uid: str) -> None:
        """Kill what still runs, take the namespace and its addresses back. Idempotent."""
        sandbox = self._sandboxes.pop(pod_uid, None)
        if sandbox is None:
            return
        for started in sandbox.containers.values():
            started.signal(signal.SIGKILL)
            await started.ended()
        self._programs.forget(pod_uid)
        await self._namespaces.remove(pod_uid)
        if sandbox.attachment is None:
            return
        if self._of_node is not None and not self._links.maps_ports:
            await self._of_node.ports.unmap(pod_uid)
        await self._links.detach(pod_uid)
        os.close(sandbox.namespace)

    def node_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new non-blocking socket in the node's namespace."""
        with netns.entered(self._namespace):
            return socket.socket(family, kind | socket.SOCK_NONBLOCK)

    def pods(self) -> tuple[str, ...]:
        """uids of all pods that have a sandbox."""
        return tuple(self._sandboxes)

    def links(self) -> dict[str, str]:
        """The node's end of each pod's link, by the pod's uid; pods without one are left out."""
        return {
            uid: sandbox.attachment.node_interface
            for uid, sandbox in self._sandboxes.items()
            if sandbox.attachment is not None and sandbox.attachment.node_interface
        }

    def namespace(self, pod_uid: str) -> int:
        """File descriptor of a pod's namespace. Raises NotFound."""
        if pod_uid not in self._sandboxes:
            raise NotFound("the pod has no sandbox", "it has not started, or has ended")
        return self._sandboxes[pod_uid].namespace

    def started(self, pod_uid: str) -> dict[str, Started]:
        """The pod's containers by name, as they were last started."""
        sandbox = self._sandboxes.get(pod_uid)
        return dict(sandbox.containers) if sandbox else {}

    def client_addresses(self, pod_uid: str, count: int) -> tuple[Addresses, ...]:
        """`count` times what to dial from, an address per IP family, the pod's own first. Raises
        UsageError where its links give it no more than that.

        A client's ports last about 28,000 connections a minute per address.
        """
        sandbox = self._sandboxes[pod_uid]
        if sandbox.attachment is None or count <= 1:
            return (sandbox.addresses,)
        return self._links.more_addresses(pod_uid, count)

    async def _turn(self, pod: Pod) -> None:
        """Wait for the pod's turn to be wired: one pod in each turn of the event loop, so that the processes
        of those before it start meanwhile, on another CPU. Pods of a shared server start no process.
        """
        if pod.meta.annotations.get(SERVER_ANNOTATION) != "shared":
            async with self._one_by_one:
                await asyncio.sleep(0)
