"""The default runtime: a pod is a network namespace, its containers are processes in it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Protocol

from testbed.errors import NotFound
from testbed.fabric.plan import ANYWHERE, END_SYSCTLS, FIRST_POD_INDEX
from testbed.kernel import netlink, netns, sysctl
from testbed.model.objects import SERVER_ANNOTATION, Container, Pod
from testbed.podnet.link import GATEWAY, NODE_MAC, POD_INTERFACE, PodLink, pod_link
from testbed.podnet.pool import AddressPool
from testbed.runtime.interface import ContainerState
from testbed.runtime.underlay import NO_IPV6

_POD_INDEX = 2
_TO_NODE = (
    netlink.neighbour(GATEWAY.packed, NODE_MAC, _POD_INDEX),
    netlink.route(ANYWHERE, _POD_INDEX, via=GATEWAY.packed, onlink=True),
)
"""What makes a pod send everything up its link: the same in every pod."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container's program is started; `netns` is a path that every process of the lab can open."""

    pod: Pod
    container: Container
    node: str
    address: IPv4Address
    netns: str


class Started(Protocol):
    """A container's program: a process of its own, or a share of one that serves many pods."""

    def state(self) -> ContainerState:
        """How it is now."""

    def signal(self, signum: int) -> None:
        """Send a signal; no error when it has ended."""

    async def ended(self) -> None:
        """Return when it has ended."""


Start = Callable[[Place], Awaitable[Started]]
"""Starts what a container's image stands for; returns when it serves or has ended."""


@dataclass(slots=True)
class _Sandbox:
    namespace: int
    link: PodLink
    containers: dict[str, Started] = field(default_factory=dict)
    client_addresses: list[IPv4Address] = field(default_factory=list)


def path_of(namespace: int) -> str:
    """A path by which every process of the lab can open the namespace."""
    return f"/proc/{os.getpid()}/fd/{namespace}"


class NetnsRuntime:
    """The pods of one node (a `PodRuntime`)."""

    def __init__(
        self, node: str, namespace: int, pods: IPv4Network, mtu: int, start: Start
    ) -> None:
        self._node = node
        self._namespace = namespace
        self._pool = AddressPool(pods)
        self._mtu = mtu
        self._start = start
        self._sandboxes: dict[str, _Sandbox] = {}
        self._next_index = FIRST_POD_INDEX
        self._one_by_one = asyncio.Lock()
        with netns.entered(namespace):
            self._netlink = netlink.Netlink()

    async def create_sandbox(self, pod: Pod) -> tuple[str, ...]:
        """Make and wire the pod's namespace; returns its addresses. Raises OutOfTimeOrRoom."""
        await self._turn(pod)
        have = self._sandboxes.get(pod.meta.uid)
        if have is None:
            link = pod_link(self._pool.allocate(), self._next_index, self._mtu)
            self._next_index += 1
            have = _Sandbox(self._wire(link), link)
            self._sandboxes[pod.meta.uid] = have
        return (str(have.link.address),)

    async def start_container(self, pod: Pod, container: Container) -> ContainerState:
        """Start the container's program; returns when it serves (or has ended)."""
        sandbox = self._sandboxes[pod.meta.uid]
        place = Place(pod, container, self._node, sandbox.link.address, path_of(sandbox.namespace))
        started = await self._start(place)
        sandbox.containers[container.name] = started
        return started.state()

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
        self._netlink.send([netlink.delete_link(sandbox.link.node_index)], missing_ok=True)
        os.close(sandbox.namespace)
        for address in (sandbox.link.address, *sandbox.client_addresses):
            self._pool.release(address)

    def node_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new non-blocking socket in the node's namespace."""
        with netns.entered(self._namespace):
            return socket.socket(family, kind | socket.SOCK_NONBLOCK)

    def pods(self) -> tuple[str, ...]:
        """uids of all pods that have a sandbox."""
        return tuple(self._sandboxes)

    def namespace(self, pod_uid: str) -> int:
        """File descriptor of a pod's namespace. Raises NotFound."""
        if pod_uid not in self._sandboxes:
            raise NotFound("the pod has no sandbox", "it has not started, or has ended")
        return self._sandboxes[pod_uid].namespace

    def started(self, pod_uid: str) -> dict[str, Started]:
        """The pod's containers by name, as they were last started."""
        sandbox = self._sandboxes.get(pod_uid)
        return dict(sandbox.containers) if sandbox else {}

    def client_addresses(self, pod_uid: str, count: int) -> tuple[IPv4Address, ...]:
        """`count` addresses to dial from, the pod's own first; more are wired as needed and stay.

        A client's ports last about 28,000 connections a minute per address.
        """
        sandbox = self._sandboxes[pod_uid]
        while len(sandbox.client_addresses) < count - 1:
            address = self._pool.allocate()
            sandbox.client_addresses.append(address)
            host = IPv4Interface((address, 32))
            with netns.entered(sandbox.namespace), netlink.Netlink() as pod_side:
                pod_side.send([netlink.address(host, _POD_INDEX)])
            self._netlink.send(_towards(address, sandbox.link))
        return (sandbox.link.address, *sandbox.client_addresses[: count - 1])

    async def _turn(self, pod: Pod) -> None:
        """Wait for the pod's turn to be wired: one pod in each turn of the event loop, so that the processes
        of those before it start meanwhile, on another CPU. Pods of a shared server start no process.
        """
        if pod.meta.annotations.get(SERVER_ANNOTATION) != "shared":
            async with self._one_by_one:
                await asyncio.sleep(0)

    def _wire(self, link: PodLink) -> int:
        namespace = netns.create()
        near = netlink.End(POD_INTERFACE, link.mac, link.mtu, _POD_INDEX)
        far = netlink.End(link.node_interface, NODE_MAC, link.mtu, link.node_index, self._namespace)
        with netns.entered(namespace):
            sysctl.write((*NO_IPV6, *END_SYSCTLS))
            with netlink.Netlink() as pod_side:
                pod_side.send(
                    [
                        netlink.veth(near, far),
                        netlink.link_up(1),
                        netlink.address(IPv4Interface((link.address, 32)), _POD_INDEX),
                        *_TO_NODE,
                    ]
                )
        self._netlink.send([netlink.link_up(link.node_index), *_towards(link.address, link)])
        return namespace


def _towards(address: IPv4Address, link: PodLink) -> list[netlink.Message]:
    """What makes a node send packets for `address` down the pod's link."""
    return [
        netlink.route(IPv4Network((address, 32)), link.node_index),
        netlink.neighbour(address.packed, link.mac, link.node_index),
    ]
