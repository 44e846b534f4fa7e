"""Neighbours, and a tunnel's forwarding table, as rtnetlink messages (linux/neighbour.h)."""

from __future__ import annotations

import socket
import struct

from testbed.kernel.netlink import APPEND, CREATE, FAMILY, REPLACE, Message, attribute, mac_bytes

RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT, _NTF_SELF = 1, 2, 0x80, 2
_RTN_UNICAST = 1
_NDMSG = struct.Struct("=BxxxiHBB")


def neighbour(ip: bytes, mac: str, index: int, *, delete: bool = False) -> Message:
    """A permanent neighbour: the ARP table is shared by all namespaces and holds 1,024 others."""
    payload = (
        _NDMSG.pack(FAMILY[len(ip)], index, _NUD_PERMANENT, 0, _RTN_UNICAST)
        + attribute(_NDA_DST, ip)
        + attribute(_NDA_LLADDR, mac_bytes(mac))
    )
    kind, flags = (RTM_DELNEIGH, 0) if delete else (RTM_NEWNEIGH, CREATE | REPLACE)
    return Message(kind, flags, payload, f"neighbour {socket.inet_ntop(FAMILY[len(ip)], ip)}")


def forward(mac: str, to: bytes, index: int, *, delete: bool = False) -> Message:
    """An entry of a tunnel's forwarding table: frames for `mac` go to machine `to` (packed), one more machine
    where the address is all zeros, which stands for frames to everybody.
    """
    payload = (
        _NDMSG.pack(socket.AF_BRIDGE, index, _NUD_PERMANENT, _NTF_SELF, 0)
        + attribute(_NDA_LLADDR, mac_bytes(mac))
        + attribute(_NDA_DST, to)
    )
    more = APPEND if not any(mac_bytes(mac)) else REPLACE
    kind, flags = (RTM_DELNEIGH, 0) if delete else (RTM_NEWNEIGH, CREATE | more)
    return Message(kind, flags, payload, f"forwarding of {mac}")
