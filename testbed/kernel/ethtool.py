"""Offloads of an interface, switched by ioctl as `ethtool -K` does."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_SET_TX_CHECKSUM, _SET_SCATTER_GATHER, _SET_TSO, _SET_GSO, _SET_GRO = 0x17, 0x19, 0x1F, 0x24, 0x2C


def plain_frames(name: str) -> None:
    """From here on interface `name` carries whole packets with finished checksums, as a cable does.

    Who reads them from a packet socket would otherwise see 64 KB segments without one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in (_SET_GSO, _SET_GRO, _SET_TSO, _SET_TX_CHECKSUM, _SET_SCATTER_GATHER):
            value = array.array("B", struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
