"""The default runtime: a pod is a network namespace, its containers are processes in it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network
from typing import Protocol

from testbed.errors import NotFound
from testbed.fabric.plan import (
    ANYWHERE,
    END_SYSCTLS,
    FIRST_POD_INDEX,
    IPV6,
    NO_IPV6,
    UPLINK_INDEX,
)
from testbed.ip import IPAddress, IPNetwork
from testbed.kernel import netlink, netns, sysctl
from testbed.model.containers import Container
from testbed.model.objects import SERVER_ANNOTATION, Pod
from testbed.podnet.addresses import OwnAddresses, PodAddresses
from testbed.podnet.link import GATEWAY, NODE_MAC, POD_INTERFACE, PodLink, pod_link
from testbed.runtime.interface import ContainerState, Executed

_TO_NODE = {
    family: (
        netlink.neighbour(gateway.packed, NODE_MAC, UPLINK_INDEX),
        netlink.route(ANYWHERE[family], UPLINK_INDEX, via=gateway.packed, onlink=True),
    )
    for family, gateway in GATEWAY.items()
}
"""What makes a pod send everything up its link, by IP family: the same in every pod."""


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
    """Without a link: the node's own namespace."""

    namespace: int
    addresses: tuple[IPAddress, ...]
    link: PodLink | None
    containers: dict[str, Started] = field(default_factory=dict)
    client_addresses: list[tuple[IPAddress, ...]] = field(default_factory=list)


def path_of(namespace: int) -> str:
    """A path by which every process of the lab can open the namespace."""
    return f"/proc/{os.getpid()}/fd/{namespace}"


class NetnsRuntime:
    """The pods of one node (a `PodRuntime`)."""

    def __init__(
        self,
        node: str,
        namespace: int,
        pods: tuple[IPNetwork, ...],
        mtu: int,
        programs: Programs,
        *,
        addresses: PodAddresses | None = None,
        of_node: OfNode | None = None,
    ) -> None:
        """`pods` are the ranges of its pods' addresses; `addresses`: where else those come from. Without
        `of_node` there are no pods in the node's network, and no host ports.
        """
        self._node = node
        self._namespace = namespace
        self._addresses = addresses or OwnAddresses(pods)
        self._ipv6 = IPV6 if any(network.version == 6 for network in pods) else NO_IPV6
        self._mtu = mtu
        self._of_node = of_node
        self._programs = programs
        self._sandboxes: dict[str, _Sandbox] = {}
        self._next_index = FIRST_POD_INDEX
        self._one_by_one = asyncio.Lock()
        with netns.entered(namespace):
            self._netlink = netlink.Netlink()

    async def create_sandbox(self, pod: Pod) -> tuple[str, ...]:
        """Make and wire the pod's namespace; returns its addresses. Raises OutOfTimeOrRoom."""
        uid = pod.meta.uid
        if pod.spec.host_network and self._of_node is not None:
            self._sandboxes[uid] = _Sandbox(self._namespace, self._of_node.addresses, None)
            return tuple(map(str, self._of_node.addresses))
        await self._turn(pod)
        have = self._sandboxes.get(uid)
        if have is None:
            addresses = await self._addresses.take(pod)
            link = pod_link(addresses, self._next_index, self._mtu)
            self._next_index += 1
            have = _Sandbox(self._wire(link), addresses, link)
            self._sandboxes[uid] = have
            self._addresses.wired(uid)
        if self._of_node is not None and have.link is not None:
            await self._of_node.ports.map(pod, have.addresses, have.link.node_interface)
        return tuple(map(str, have.addresses))

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
        if sandbox.link is None:
            return
        if self._of_node is not None:
            await self._of_node.ports.unmap(pod_uid)
        self._netlink.send([netlink.delete_link(sandbox.link.node_index)], missing_ok=True)
        os.close(sandbox.namespace)
        self._addresses.give_back(pod_uid, sandbox.addresses)
        for addresses in sandbox.client_addresses:
            self._addresses.release(addresses)

    def node_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new non-blocking socket in the node's namespace."""
        with netns.entered(self._namespace):
            return socket.socket(family, kind | socket.SOCK_NONBLOCK)

    def pods(self) -> tuple[str, ...]:
        """uids of all pods that have a sandbox."""
        return tuple(self._sandboxes)

    def links(self) -> dict[str, str]:
        """The node's end of each pod's link, by the pod's uid."""
        return {
            uid: sandbox.link.node_interface
            for uid, sandbox in self._sandboxes.items()
            if sandbox.link is not None
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

    def client_addresses(self, pod_uid: str, count: int) -> tuple[tuple[IPAddress, ...], ...]:
        """`count` times what to dial from, an address per IP family, the pod's own first; more are wired
        as needed and stay.

        A client's ports last about 28,000 connections a minute per address.
        """
        sandbox = self._sandboxes[pod_uid]
        if sandbox.link is None:
            return (sandbox.addresses,)
        while len(sandbox.client_addresses) < count - 1:
            addresses = self._addresses.take_more()
            sandbox.client_addresses.append(addresses)
            with netns.entered(sandbox.namespace), netlink.Netlink() as pod_side:
                pod_side.send(_of_pod(address, by_name_only=True) for address in addresses)
            self._netlink.send(_towards(addresses, sandbox.link))
        return (sandbox.addresses, *sandbox.client_addresses[: count - 1])

    async def _turn(self, pod: Pod) -> None:
        """Wait for the pod's turn to be wired: one pod in each turn of the event loop, so that the processes
        of those before it start meanwhile, on another CPU. Pods of a shared server start no process.
        """
        if pod.meta.annotations.get(SERVER_ANNOTATION) != "shared":
            async with self._one_by_one:
                await asyncio.sleep(0)

    def _wire(self, link: PodLink) -> int:
        namespace = netns.create()
        near = netlink.End(POD_INTERFACE, link.mac, link.mtu, UPLINK_INDEX)
        far = netlink.End(link.node_interface, NODE_MAC, link.mtu, link.node_index, self._namespace)
        with netns.entered(namespace):
            sysctl.write((*self._ipv6, *END_SYSCTLS))
            with netlink.Netlink() as pod_side:
                pod_side.send(
                    [
                        netlink.veth(near, far),
                        netlink.link_up(1),
                        *map(_of_pod, link.addresses),
                        *(step for own in link.addresses for step in _TO_NODE[own.version]),
                    ]
                )
        self._netlink.send([netlink.link_up(link.node_index), *_towards(link.addresses, link)])
        return namespace


def _of_pod(address: IPAddress, *, by_name_only: bool = False) -> netlink.Message:
    """What makes an address the pod's own, and nobody else its neighbour."""
    own = ip_interface((address, address.max_prefixlen))
    return netlink.address(own, UPLINK_INDEX, by_name_only=by_name_only)


def _towards(addresses: tuple[IPAddress, ...], link: PodLink) -> list[netlink.Message]:
    """What makes a node send packets for `addresses` down the pod's link."""
    return [
        message
        for address in addresses
        for message in (
            netlink.route(ip_network((address, address.max_prefixlen)), link.node_index),
            netlink.neighbour(address.packed, link.mac, link.node_index),
        )
    ]
