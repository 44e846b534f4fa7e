"""Whether an interface is what it should be, as the kernel says."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable

from testbed.ip import IPAddress
from testbed.kernel import netns

_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def trouble(namespace: int | str, interface: str, addresses: Iterable[IPAddress] = ()) -> str:
    """ "" where the interface is up at both ends and the namespace has these addresses; else what is wrong."""
    with netns.entered(namespace):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            request = struct.pack("16sH14x", interface.encode(), 0)
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, request)
            except OSError:
                return f"there is no interface {interface}"
        flags = struct.unpack_from("H", answer, 16)[0]
        if not flags & _IFF_UP or not flags & _IFF_RUNNING:
            return f"interface {interface} is down"
        for address in addresses:
            with socket.socket(_FAMILY[address.version], socket.SOCK_DGRAM) as trying:
                try:
                    trying.bind((str(address), 0))
                except OSError:
                    return f"address {address} is gone"
    return ""
