"""The built-in pod links: a veth pair per pod, wired in process by netlink."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from testbed.errors import CheckFailed
from testbed.kernel import link_state, links, netlink, netns, packet_socket
from testbed.model.objects.pods import Pod
from testbed.podnet.addresses import Addresses, PodAddresses
from testbed.podnet.link import FIRST_POD_INDEX, POD_INDEX, POD_INTERFACE, PodLink, pod_link
from testbed.podnet.ways import Way
from testbed.runtime.pod_links import Attachment

_ANNOUNCED_AFTER_S = (0.0, 0.05, 0.2, 1.0)
"""Pauses before each: a bridge passes nothing on until it has noticed that the port's link is up."""


@dataclass(slots=True)
class _Wired:
    link: PodLink
    namespace: int
    more: list[Addresses] = field(default_factory=list)


class VethLinks:
    """One node's (a `PodLinks`)."""

    maps_ports = False

    def __init__(
        self, namespace: int, mtu: int, addresses: PodAddresses, way: Way, *, large: bool = False
    ) -> None:
        """`large`: see `links.End`."""
        self._namespace = namespace
        self._mtu = mtu
        self._large = large
        self._addresses = addresses
        self._way = way
        self._wired: dict[str, _Wired] = {}
        self._next_index = FIRST_POD_INDEX
        self._announcing: set[asyncio.Task[None]] = set()
        with netns.entered(namespace):
            self._netlink = netlink.Netlink()

    async def attach(self, pod: Pod, namespace: int) -> Attachment:
        uid = pod.meta.uid
        link = pod_link(await self._addresses.take(pod), self._next_index, self._mtu)
        self._next_index += 1
        self._wire(link, namespace)
        self._wired[uid] = wired = _Wired(link, namespace)
        if frames := self._way.announcements(link):
            task = asyncio.create_task(self._announce(uid, wired, frames))
            self._announcing.add(task)
            task.add_done_callback(self._announcing.discard)
        self._addresses.wired(uid)
        return Attachment(link.addresses, link.node_interface)

    async def _announce(self, uid: str, wired: _Wired, frames: list[bytes]) -> None:
        for pause_s in _ANNOUNCED_AFTER_S:
            await asyncio.sleep(pause_s)
            if self._wired.get(uid) is not wired:
                return
            with netns.entered(wired.namespace):
                packet_socket.send(POD_INTERFACE, frames)

    async def detach(self, pod_uid: str) -> None:
        wired = self._wired.pop(pod_uid, None)
        if wired is None:
            return
        self._netlink.send([links.delete_link(wired.link.node_index)], missing_ok=True)
        self._addresses.give_back(pod_uid, wired.link.addresses)
        for addresses in wired.more:
            self._addresses.release(addresses)

    async def check(self, pod_uid: str) -> None:
        wired = self._wired[pod_uid]
        link = wired.link
        trouble = link_state.trouble(self._namespace, link.node_interface) or link_state.trouble(
            wired.namespace, POD_INTERFACE, link.addresses
        )
        if trouble:
            raise CheckFailed(f"the link of the pod with {link.addresses[0]}: {trouble}")

    def cut(self) -> None:
        """Links end with the node's namespace."""

    def more_addresses(self, pod_uid: str, count: int) -> tuple[Addresses, ...]:
        wired = self._wired[pod_uid]
        while len(wired.more) < count - 1:
            addresses = self._addresses.take_more()
            wired.more.append(addresses)
            with netns.entered(wired.namespace), netlink.Netlink() as pod_side:
                pod_side.send(
                    self._way.address(one, wired.link, by_name_only=True) for one in addresses
                )
            self._netlink.send(self._towards(addresses, wired.link))
        return (wired.link.addresses, *wired.more[: count - 1])

    def _wire(self, link: PodLink, namespace: int) -> None:
        way = self._way
        near = links.End(POD_INTERFACE, link.mac, link.mtu, POD_INDEX, large=self._large)
        far = links.End(
            link.node_interface,
            way.node_mac(link),
            link.mtu,
            link.node_index,
            self._namespace,
            self._large,
        )
        with netns.entered(namespace), netlink.Netlink() as pod_side:
            pod_side.send(
                [
                    links.veth(near, far),
                    links.link_up(1),
                    *(way.address(one, link) for one in link.addresses),
                    *way.leave(link),
                ]
            )
        self._netlink.send([*way.join(link), *self._towards(link.addresses, link)])

    def _towards(self, addresses: Addresses, link: PodLink) -> list[netlink.Message]:
        return [step for address in addresses for step in self._way.towards(address, link)]
