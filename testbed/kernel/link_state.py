"""Whether an interface is what it should be, as the kernel says."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from testbed.ip import IPAddress
from testbed.kernel import netns
from testbed.kernel.netlink import Message, Netlink

_RTM_GETLINK = 18
_IFINFO = struct.Struct("=BxHiII")
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
"""The second says that the other end is up, and at once: IFF_RUNNING follows up to a second later."""
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def trouble(namespace: int | str, interface: str, addresses: Iterable[IPAddress] = ()) -> str:
    """What is wrong where not both ends are up, or the namespace has not all of these addresses; else ""."""
    with netns.entered(namespace):
        flags = _flags(interface)
        if flags is None:
            return f"there is no interface {interface}"
        if not flags & _IFF_UP or not flags & _IFF_LOWER_UP:
            return f"interface {interface} is down"
        for address in addresses:
            with socket.socket(_FAMILY[address.version], socket.SOCK_DGRAM) as trying:
                try:
                    trying.bind((str(address), 0))
                except OSError:
                    return f"address {address} is gone"
    return ""


def _flags(interface: str) -> int | None:
    try:
        wanted = socket.if_nametoindex(interface)
    except OSError:
        return None
    everything = Message(_RTM_GETLINK, 0, _IFINFO.pack(0, 0, 0, 0, 0), "list links")
    with Netlink() as link:
        for _, body in link.dump(everything):
            _, _, index, flags, _ = _IFINFO.unpack_from(body)
            if index == wanted:
                return int(flags)
    return None
