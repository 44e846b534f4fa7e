"""Links as rtnetlink messages: veth pairs, bridges and their ports, tunnels (linux/if_link.h)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from testbed.kernel.netlink import (
    APPEND,
    CREATE,
    EXCL,
    NESTED,
    U32,
    Message,
    attribute,
    mac_bytes,
)

RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_NEWLINKPROP = 16, 17, 19, 108
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_PROTINFO, _IFLA_BRPORT_MODE = 12, 4
_IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 52, 53
_IFLA_GSO_IPV4_MAX_SIZE = 63
"""Since Linux 6.3; older kernels pass it over."""
_IFLA_NET_NS_FD, _IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 28, 1, 2, 1
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 4, 7, 15, 17
_IFF_UP = 1
_IFINFO = struct.Struct("=BxHiII")

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
            + attribute(_IFLA_MTU, U32.pack(self.mtu))
        )
        if self.large:
            said += attribute(_IFLA_GSO_IPV4_MAX_SIZE, U32.pack(LARGE_BYTES))
        if self.netns is not None:
            said += attribute(_IFLA_NET_NS_FD, U32.pack(self.netns))
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
        payload += attribute(_IFLA_MASTER, U32.pack(master))
    what = f"veth {near.name} - {far.name}"
    return Message(RTM_NEWLINK, CREATE | EXCL, payload, what)


def bridge(name: str, mtu: int, index: int, mac: str = "") -> Message:
    """A bridge, up; without `mac` it has that of a port."""
    payload = (
        _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
        + attribute(_IFLA_IFNAME, name.encode() + b"\0")
        + attribute(_IFLA_MTU, U32.pack(mtu))
        + attribute(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"bridge"))
    )
    if mac:
        payload += attribute(_IFLA_ADDRESS, mac_bytes(mac))
    return Message(RTM_NEWLINK, CREATE | EXCL, payload, f"bridge {name}")


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
        attribute(_VXLAN_ID, U32.pack(tunnel.vni))
        + attribute(local, tunnel.local)
        + attribute(_VXLAN_LEARNING, bytes([tunnel.learning]))
        + attribute(_VXLAN_PORT, struct.pack("!H", tunnel.port))
    )
    kind = attribute(_IFLA_INFO_KIND, b"vxlan") + attribute(_IFLA_INFO_DATA, data)
    payload = end.encode(_IFF_UP) + attribute(_IFLA_LINKINFO, kind)
    if master:
        payload += attribute(_IFLA_MASTER, U32.pack(master))
    return Message(RTM_NEWLINK, CREATE | EXCL, payload, f"vxlan {end.name}")


def bridge_port(index: int, bridge: int) -> Message:
    """Make link `index` a port of a bridge, and bring it up."""
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
    payload += attribute(_IFLA_MASTER, U32.pack(bridge))
    return Message(RTM_NEWLINK, 0, payload, f"link {index} to bridge {bridge}")


def hairpin(index: int) -> Message:
    """A bridge's port sends a frame out where it came in, too."""
    payload = _IFINFO.pack(socket.AF_BRIDGE, 0, index, 0, 0)
    payload += attribute(_IFLA_PROTINFO | NESTED, attribute(_IFLA_BRPORT_MODE, b"\1"))
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
    names = attribute(_IFLA_PROP_LIST | NESTED, one)
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + names
    return Message(RTM_NEWLINKPROP, CREATE | EXCL | APPEND, payload, f"second name {name}")


def delete_link(index: int) -> Message:
    payload = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return Message(RTM_DELLINK, 0, payload, f"delete link {index}")
