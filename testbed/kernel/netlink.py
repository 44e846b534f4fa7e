"""rtnetlink by hand: just the messages that wire a lab, many to a send.

pyroute2 says the same in 18-25 ms per namespace; a thousand pods want about 1 ms each. The layouts are
those of linux/rtnetlink.h, linux/if_link.h and linux/neighbour.h; numbers are little- or big-endian as the
machine is, addresses in network order.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from testbed.ip import IPInterface, IPNetwork

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR = 16, 17, 20, 21
RTM_SETLINK, RTM_NEWLINKPROP = 19, 108
RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH, RTM_DELNEIGH = 24, 25, 28, 29

_REQUEST, _ACK, _EXCL, _CREATE, _REPLACE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x100, 0x800
_DUMP = 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_MOST_OF_A_DUMP = 1 << 16
"""Bytes; the kernel fills 32 KB at most in one go."""
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_PROTINFO, _IFLA_BRPORT_MODE, _NESTED = 12, 4, 0x8000
_IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 52, 53
_IFLA_GSO_IPV4_MAX_SIZE = 63
"""Since Linux 6.3; older kernels pass it over."""
_IFLA_NET_NS_FD, _IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 28, 1, 2, 1
_IFF_UP = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_FOR_EVER = 0xFFFFFFFF
_IFA_F_NODAD = 0x02
"""No duplicate address detection: addresses are given by plan, and may be used at once."""
_FAMILY = {4: socket.AF_INET, 16: socket.AF_INET6}
"""By the length of an address in bytes."""
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST, _RTN_BLACKHOLE = 254, 4, 1, 6
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTNH_F_ONLINK = 0, 253, 4
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT, _NTF_SELF = 1, 2, 0x80, 2
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 4, 7, 15, 17

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NDMSG = struct.Struct("=BxxxiHBB")
_U32 = struct.Struct("=I")
_KIND = 0x3FFF
"""The rest of an attribute's kind are flags: nested, in network order."""
_BATCH_BYTES = 24_000
"""Bytes per send: the acknowledgements of a batch have to fit the socket's receive buffer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One rtnetlink request; `what` names it in an error."""

    type: int
    flags: int
    payload: bytes
    what: str


class NetlinkError(OSError):
    """The kernel refused a message; `strerror` says which one."""


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute (rtnetlink(7)), padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes that follow each other in `data`, by kind; of equal ones the last."""
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        found[kind & _KIND] = data[offset + 4 : offset + length]
        offset += max(4, (length + 3) & ~3)
    return found


def mac_bytes(mac: str) -> bytes:
    """Six bytes of `02:00:0a:f4:01:02`."""
    return bytes.fromhex(mac.replace(":", ""))


LARGE_BYTES = 196_608
"""Of a packet that offloads pass along whole: what Cilium sets where it has BIG TCP, instead of 64 KB."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a veth pair. `index` 0 lets the kernel number it; `netns` is where it goes (None: here).

    `large`: IPv4 packets of up to `LARGE_BYTES` leave by it whole, so that a stream is a third as many on
    every hop. Only where all the way is such: a tunnel would cut them into frames.
    """

    name: str
    mac: str
    mtu: int
    index: int = 0
    netns: int | None = None
    large: bool = False

    def encode(self, flags: int = 0) -> bytes:
        said = (
            attribute(_IFLA_IFNAME, self.name.encode() + b"\0")
            + attribute(_IFLA_ADDRESS, mac_bytes(self.mac))
            + attribute(_IFLA_MTU, _U32.pack(self.mtu))
        )
        if self.large:
            said += attribute(_IFLA_GSO_IPV4_MAX_SIZE, _U32.pack(LARGE_BYTES))
        if self.netns is not None:
            said += attribute(_IFLA_NET_NS_FD, _U32.pack(self.netns))
        return _IFINFO.pack(socket.AF_UNSPEC, 0, self.index, flags, flags) + said


def veth(near: End, far: End, master: int = 0) -> Message:
    """A pair whose near end is up (the far one has to be brought up where it went: at this point it has
    no peer yet). `master` is the ifindex of a bridge that `near` becomes a port of.
    """
    data = attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, far.encode()))
    payload = near.encode(_IFF_UP) + attribute(
        _IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"veth") + data
    )
    if master:
        payload += attribute(_IFLA_MASTER, _U32.pack(master))
    what = f"veth {near.name} - {far.name}"
    return Message(RTM_NEWLINK, _CREATE | _EXCL, payload, what)


def bridge(name: str, mtu: int, index: int, mac: str = "") -> Message:
    """A bridge, up; without `mac` it has that of a port."""
    payload = (
        _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
        + attribute(_IFLA_IFNAME, name.encode() + b"\0")
        + attribute(_IFLA_MTU, _U32.pack(mtu))
        + attribute(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"bridge"))
    )
    if mac:
        payload += attribute(_IFLA_ADDRESS, mac_bytes(mac))
    return Message(RTM_NEWLINK, _CREATE | _EXCL, payload, f"bridge {name}")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A VXLAN tunnel: network identifier, UDP port, own address (packed), whether it learns from traffic."""

    vni: int
    port: int
    local: bytes
    learning: bool


def vxlan(end: End, tunnel: Tunnel, master: int = 0) -> Message:
    """A VXLAN tunnel's end, up. `master` is the ifindex of a bridge that it becomes a port of."""
    local = _VXLAN_LOCAL if len(tunnel.local) == 4 else _VXLAN_LOCAL6
    data = (
        attribute(_VXLAN_ID, _U32.pack(tunnel.vni))
        + attribute(local, tunnel.local)
        + attribute(_VXLAN_LEARNING, bytes([tunnel.learning]))
        + attribute(_VXLAN_PORT, struct.pack("!H", tunnel.port))
    )
    kind = attribute(_IFLA_INFO_KIND, b"vxlan") + attribute(_IFLA_INFO_DATA, data)
    payload = end.encode(_IFF_UP) + attribute(_IFLA_LINKINFO, kind)
    if master:
        payload += attribute(_IFLA_MASTER, _U32.pack(master))
    return Message(RTM_NEWLINK, _CREATE | _EXCL, payload, f"vxlan {end.name}")


def bridge_port(index: int, bridge: int) -> Message:
    """Make link `index` a port of a bridge, and bring it up."""
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
    payload += attribute(_IFLA_MASTER, _U32.pack(bridge))
    return Message(RTM_NEWLINK, 0, payload, f"link {index} to bridge {bridge}")


def hairpin(index: int) -> Message:
    """A bridge's port sends a frame out where it came in, too."""
    payload = _IFINFO.pack(socket.AF_BRIDGE, 0, index, 0, 0)
    payload += attribute(_IFLA_PROTINFO | _NESTED, attribute(_IFLA_BRPORT_MODE, b"\1"))
    return Message(RTM_SETLINK, 0, payload, f"hairpin mode of link {index}")


def link_up(index: int) -> Message:
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
    return Message(RTM_NEWLINK, 0, payload, f"link {index} up")


def link_down(index: int) -> Message:
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, _IFF_UP)
    return Message(RTM_NEWLINK, 0, payload, f"link {index} down")


def second_name(index: int, name: str) -> Message:
    """Another name of a link, by which tools find it, too (up to 127 letters; 5.5 and newer)."""
    one = attribute(_IFLA_ALT_IFNAME, name.encode() + b"\0")
    names = attribute(_IFLA_PROP_LIST | _NESTED, one)
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + names
    return Message(RTM_NEWLINKPROP, _CREATE | _EXCL | _APPEND, payload, f"second name {name}")


def delete_link(index: int) -> Message:
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return Message(RTM_DELLINK, 0, payload, f"delete link {index}")


def address(
    interface: IPInterface, index: int, *, by_name_only: bool = False, delete: bool = False
) -> Message:
    """`interface` (address and prefix length) on link `index`.

    `by_name_only`: only who binds to it sends from it (RFC 6724 calls it deprecated). In IPv4, where the
    first address of a link is preferred, it makes no difference.
    """
    packed = interface.ip.packed
    family = _FAMILY[len(packed)]
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    payload = (
        _IFADDR.pack(family, interface.network.prefixlen, flags, _scope(interface), index)
        + attribute(_IFA_LOCAL, packed)
        + attribute(_IFA_ADDRESS, packed)
    )
    if by_name_only and interface.version == 6:
        payload += attribute(_IFA_CACHEINFO, struct.pack("=IIII", 0, _FOR_EVER, 0, 0))
    kind, how = (RTM_DELADDR, 0) if delete else (RTM_NEWADDR, _CREATE | _EXCL)
    return Message(kind, how, payload, f"address {interface}")


def _scope(interface: IPInterface) -> int:
    return _RT_SCOPE_LINK if interface.version == 6 and interface.is_link_local else 0


def route(
    destination: IPNetwork,
    index: int,
    *,
    via: bytes = b"",
    source: bytes = b"",
    onlink: bool = False,
    delete: bool = False,
) -> Message:
    """A unicast route out of link `index`, by gateway `via` (packed) where there is one; 0: out of the link
    that leads to the gateway.
    """
    scope = _RT_SCOPE_UNIVERSE if via else _RT_SCOPE_LINK
    payload = _RTMSG.pack(
        _FAMILY[len(destination.network_address.packed)],
        destination.prefixlen,
        0,
        0,
        _RT_TABLE_MAIN,
        _RTPROT_STATIC,
        scope,
        _RTN_UNICAST,
        _RTNH_F_ONLINK if onlink else 0,
    )
    if destination.prefixlen:
        payload += attribute(_RTA_DST, destination.network_address.packed)
    if index:
        payload += attribute(_RTA_OIF, _U32.pack(index))
    if via:
        payload += attribute(_RTA_GATEWAY, via)
    if source:
        payload += attribute(_RTA_PREFSRC, source)
    kind, flags = (RTM_DELROUTE, 0) if delete else (RTM_NEWROUTE, _CREATE | _REPLACE)
    return Message(kind, flags, payload, f"route to {destination}")


def blackhole(destination: IPNetwork, *, delete: bool = False) -> Message:
    """Packets for `destination` are dropped where no longer prefix has a route."""
    payload = _RTMSG.pack(
        _FAMILY[len(destination.network_address.packed)],
        destination.prefixlen,
        0,
        0,
        _RT_TABLE_MAIN,
        _RTPROT_STATIC,
        _RT_SCOPE_UNIVERSE,
        _RTN_BLACKHOLE,
        0,
    ) + attribute(_RTA_DST, destination.network_address.packed)
    kind, flags = (RTM_DELROUTE, 0) if delete else (RTM_NEWROUTE, _CREATE | _REPLACE)
    return Message(kind, flags, payload, f"blackhole {destination}")


def neighbour(ip: bytes, mac: str, index: int, *, delete: bool = False) -> Message:
    """A permanent neighbour: the ARP table is shared by all namespaces and holds 1,024 others."""
    payload = (
        _NDMSG.pack(_FAMILY[len(ip)], index, _NUD_PERMANENT, 0, _RTN_UNICAST)
        + attribute(_NDA_DST, ip)
        + attribute(_NDA_LLADDR, mac_bytes(mac))
    )
    kind, flags = (RTM_DELNEIGH, 0) if delete else (RTM_NEWNEIGH, _CREATE | _REPLACE)
    return Message(kind, flags, payload, f"neighbour {socket.inet_ntop(_FAMILY[len(ip)], ip)}")


def forward(mac: str, to: bytes, index: int, *, delete: bool = False) -> Message:
    """An entry of a tunnel's forwarding table: frames for `mac` go to machine `to` (packed), one more machine
    where the address is all zeros, which stands for frames to everybody.
    """
    payload = (
        _NDMSG.pack(socket.AF_BRIDGE, index, _NUD_PERMANENT, _NTF_SELF, 0)
        + attribute(_NDA_LLADDR, mac_bytes(mac))
        + attribute(_NDA_DST, to)
    )
    more = _APPEND if not any(mac_bytes(mac)) else _REPLACE
    kind, flags = (RTM_DELNEIGH, 0) if delete else (RTM_NEWNEIGH, _CREATE | more)
    return Message(kind, flags, payload, f"forwarding of {mac}")


class Netlink:
    """An rtnetlink socket of the namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, messages: Iterable[Message], *, missing_ok: bool = False) -> None:
        """Carry out all messages in order. Raises NetlinkError for the first refused one, after all were tried.

        With `missing_ok`, deleting what is not there (any more) is no error.
        """
        batch: list[Message] = []
        size = 0
        failures: list[tuple[Message, int]] = []
        for message in messages:
            batch.append(message)
            size += len(message.payload) + 16
            if size >= _BATCH_BYTES:
                failures += self._exchange(batch)
                batch, size = [], 0
        if batch:
            failures += self._exchange(batch)
        absent = {_ENODEV, _ESRCH, _ENOENT, _EADDRNOTAVAIL} if missing_ok else set()
        for message, errno in failures:
            if errno not in absent:
                raise NetlinkError(errno, f"{message.what}: {os.strerror(errno)}")

    def dump(self, request: Message) -> list[tuple[int, bytes]]:
        """(type, payload) of every message that answers a request for all there is. Raises NetlinkError."""
        self._sequence += 1
        head = (16 + len(request.payload), request.type, _REQUEST | _DUMP, self._sequence, 0)
        self._socket.send(_HEADER.pack(*head) + request.payload)
        found: list[tuple[int, bytes]] = []
        while True:
            data = self._socket.recv(_MOST_OF_A_DUMP)
            offset = 0
            while offset < len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
                body = data[offset + 16 : offset + length]
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR:
                    errno = -struct.unpack_from("=i", body)[0]
                    raise NetlinkError(errno, f"{request.what}: {os.strerror(errno)}")
                found.append((kind, body))
                offset += (length + 3) & ~3

    def _exchange(self, batch: Sequence[Message]) -> list[tuple[Message, int]]:
        first = self._sequence + 1
        self._sequence += len(batch)
        self._socket.send(
            b"".join(
                _HEADER.pack(
                    16 + len(message.payload),
                    message.type,
                    message.flags | _REQUEST | _ACK,
                    first + offset,
                    0,
                )
                + message.payload
                for offset, message in enumerate(batch)
            )
        )
        failures = []
        waiting = len(batch)
        while waiting:
            data = self._socket.recv(65536)
            offset = 0
            while offset < len(data):
                length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
                if kind == _NLMSG_ERROR:
                    waiting -= 1
                    errno = -struct.unpack_from("=i", data, offset + 16)[0]
                    if errno:
                        failures.append((batch[sequence - first], errno))
                offset += (length + 3) & ~3
        return failures


_ENOENT, _ESRCH, _ENODEV, _EADDRNOTAVAIL = 2, 3, 19, 99
