"""The kernel's routes as it tells of them: one namespace's, those of one origin, each when it comes or goes."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from testbed.ip import IPAddress, IPNetwork
from testbed.kernel import netlink, netns, static_routes

BIRD = 12
"""RTPROT_BIRD (linux/rtnetlink.h): who made a route."""
_RTM_GETROUTE = 26
_NLMSG_DONE = 3
_REQUEST_DUMP = 0x1 | 0x300
_GROUPS = 0x40 | 0x400
"""RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE."""
_HEADER = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")
_RTA_DST, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 5, 9
_MAIN, _UNICAST = 254, 1
_RECEIVE_BYTES = 1 << 17
_RECEIVE_BUFFER = 4 << 20
_FAMILY = {socket.AF_INET: 4, socket.AF_INET6: 16}
"""Length of an address."""


@dataclass(frozen=True, slots=True)
class RouteNews:
    """A route that came, or goes by others now; with no `vias` it is gone."""

    destination: IPNetwork
    vias: tuple[IPAddress, ...]


class RouteEar:
    """Listens in a namespace (a path, or a descriptor) to unicast routes of `origin` in the main table.

    `known` are those that there were when somebody looked last: what has changed since is news, too.
    """

    def __init__(self, place: str | int, origin: int, known: Iterable[RouteNews] = ()) -> None:
        self._origin = origin
        self._known = {one.destination: one.vias for one in known}
        self._listed: set[IPNetwork] | None = None
        """While the kernel lists its routes: those that it has listed."""
        with netns.entered(place):
            self.socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.socket.bind((0, _GROUPS))
        self.socket.setblocking(False)
        self._list()

    def take(self) -> list[RouteNews]:
        """What has changed since; never waits."""
        news: list[RouteNews] = []
        while True:
            try:
                data = self.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return news
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._list()  # some were lost: a list says what there is now
                continue
            for kind, payload in _messages(data):
                news += self._heard(kind, payload)

    def close(self) -> None:
        self.socket.close()

    def _list(self) -> None:
        self._listed = set()
        payload = _RTMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0)
        size = _HEADER.size + len(payload)
        self.socket.send(_HEADER.pack(size, _RTM_GETROUTE, _REQUEST_DUMP, 1, 0) + payload)

    def _heard(self, kind: int, payload: bytes) -> Iterator[RouteNews]:
        if kind == _NLMSG_DONE and self._listed is not None:
            listed, self._listed = self._listed, None
            for destination in [one for one in self._known if one not in listed]:
                yield from self._now(destination, ())
        elif kind in {static_routes.RTM_NEWROUTE, static_routes.RTM_DELROUTE}:
            route = parsed(payload, self._origin)
            if route is None:
                return
            if self._listed is not None:
                self._listed.add(route.destination)
            gone = kind == static_routes.RTM_DELROUTE
            yield from self._now(route.destination, () if gone else route.vias)

    def _now(self, destination: IPNetwork, vias: tuple[IPAddress, ...]) -> Iterator[RouteNews]:
        if self._known.get(destination, ()) == vias:
            return
        if vias:
            self._known[destination] = vias
        else:
            del self._known[destination]
        yield RouteNews(destination, vias)


def parsed(payload: bytes, origin: int) -> RouteNews | None:
    """A message about a route, by the layouts of linux/rtnetlink.h; None where it is about another kind."""
    family, bits, _, _, table, protocol, _, kind, _ = _RTMSG.unpack_from(payload)
    size = _FAMILY.get(family)
    if size is None or (table, protocol, kind) != (_MAIN, origin, _UNICAST):
        return None
    said = netlink.attributes(payload[_RTMSG.size :])
    destination = ip_network((said.get(_RTA_DST, bytes(size)), bits))
    if _RTA_MULTIPATH in said:
        vias = tuple(_vias(said[_RTA_MULTIPATH]))
    else:
        vias = (ip_address(said.get(_RTA_GATEWAY, bytes(size))),)
    return RouteNews(destination, vias)


def _vias(hops: bytes) -> Iterator[IPAddress]:
    offset = 0
    while offset + _NEXTHOP.size <= len(hops):
        length, _, _, _ = _NEXTHOP.unpack_from(hops, offset)
        said = netlink.attributes(hops[offset + _NEXTHOP.size : offset + length])
        if _RTA_GATEWAY in said:
            yield ip_address(said[_RTA_GATEWAY])
        offset += max(_NEXTHOP.size, (length + 3) & ~3)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += max(_HEADER.size, (length + 3) & ~3)
