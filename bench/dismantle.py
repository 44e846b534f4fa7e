"""When has the kernel finished taking network namespaces apart?

It does so in the background, in batches, one batch at a time. A namespace that has an id here
(`ip netns set`) is announced as gone when its batch *starts*. So: release one namespace and hear of
it, then another and hear of it; the second batch starts after the first has finished, so that all
that was released before is gone. See cleanup_net() in the kernel's net/core/net_namespace.c.
"""

from __future__ import annotations

import os
import socket
import struct

from testbed.kernel import netns

_NEWNSID, _DELNSID = 88, 89
_REQUEST, _ACK = 0x1, 0x4
_NETNSA_NSID, _NETNSA_FD = 1, 3
_GROUP_NSID = 1 << 27  # RTNLGRP_NSID is 28
_ERROR = 2
_TIMEOUT_S = 60.0


def wait() -> None:
    """Return when all namespaces released before this call are dismantled. Raises TimeoutError.

    Needs root (it makes two namespaces).
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as listener:
        listener.bind((0, _GROUP_NSID))
        listener.settimeout(_TIMEOUT_S)
        for number in range(2):
            _release_and_hear(listener, nsid=os.getpid() * 2 + number)


def _release_and_hear(listener: socket.socket, nsid: int) -> None:
    namespace = netns.create()
    try:
        listener.send(_set_nsid(namespace, nsid))
    finally:
        os.close(namespace)
    while True:
        data = listener.recv(8192)
        kind = struct.unpack_from("=H", data, 4)[0]
        if kind == _ERROR and (errno := -struct.unpack_from("=i", data, 16)[0]):
            raise OSError(errno, os.strerror(errno))
        if kind == _DELNSID and struct.unpack_from("=i", data, 24)[0] == nsid:
            return


def _set_nsid(namespace: int, nsid: int) -> bytes:
    attributes = struct.pack("=BxxxHHiHHI", 0, 8, _NETNSA_NSID, nsid, 8, _NETNSA_FD, namespace)
    return struct.pack("=IHHII", 16 + len(attributes), _NEWNSID, _REQUEST | _ACK, 1, 0) + attributes
