"""What a bridge has learned: who is behind which port (linux/if_link.h, IFLA_BR_FDB_FLUSH)."""

from __future__ import annotations

import socket
import struct

from testbed.kernel.links import RTM_NEWLINK
from testbed.kernel.netlink import Message, attribute

_LINKINFO, _KIND, _DATA, _FDB_FLUSH = 18, 1, 2, 21


def flushed(index: int) -> Message:
    """The bridge forgets it, and floods until it has learned anew."""
    flush = attribute(_DATA, attribute(_FDB_FLUSH, b""))
    info = attribute(_LINKINFO, attribute(_KIND, b"bridge") + flush)
    payload = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + info
    return Message(RTM_NEWLINK, 0, payload, f"bridge {index} forgets")
