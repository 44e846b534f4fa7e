"""Addresses of links as rtnetlink messages (linux/if_addr.h)."""

from __future__ import annotations

import struct

from testbed.ip import IPInterface
from testbed.kernel.netlink import CREATE, EXCL, FAMILY, Message, attribute

RTM_NEWADDR, RTM_DELADDR = 20, 21
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_FOR_EVER = 0xFFFFFFFF
_IFA_F_NODAD = 0x02
"""No duplicate address detection: addresses are given by plan, and may be used at once."""
_RT_SCOPE_LINK = 253
_IFADDR = struct.Struct("=BBBBI")


def address(
    interface: IPInterface, index: int, *, by_name_only: bool = False, delete: bool = False
) -> Message:
    """`interface` (address and prefix length) on link `index`.

    `by_name_only`: only who binds to it sends from it (RFC 6724 calls it deprecated). In IPv4, where the
    first address of a link is preferred, it makes no difference.
    """
    packed = interface.ip.packed
    family = FAMILY[len(packed)]
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    payload = (
        _IFADDR.pack(family, interface.network.prefixlen, flags, _scope(interface), index)
        + attribute(_IFA_LOCAL, packed)
        + attribute(_IFA_ADDRESS, packed)
    )
    if by_name_only and interface.version == 6:
        payload += attribute(_IFA_CACHEINFO, struct.pack("=IIII", 0, _FOR_EVER, 0, 0))
    kind, how = (RTM_DELADDR, 0) if delete else (RTM_NEWADDR, CREATE | EXCL)
    return Message(kind, how, payload, f"address {interface}")


def _scope(interface: IPInterface) -> int:
    return _RT_SCOPE_LINK if interface.version == 6 and interface.is_link_local else 0
