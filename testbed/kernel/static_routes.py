"""Routes that stay until they are taken back, as rtnetlink messages (linux/rtnetlink.h, RTPROT_STATIC)."""

from __future__ import annotations

import struct

from testbed.ip import IPNetwork
from testbed.kernel.netlink import CREATE, FAMILY, REPLACE, U32, Message, attribute

RTM_NEWROUTE, RTM_DELROUTE = 24, 25
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST, _RTN_BLACKHOLE = 254, 4, 1, 6
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTNH_F_ONLINK = 0, 253, 4
_RTMSG = struct.Struct("=BBBBBBBBI")


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
        FAMILY[len(destination.network_address.packed)],
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
        payload += attribute(_RTA_OIF, U32.pack(index))
    if via:
        payload += attribute(_RTA_GATEWAY, via)
    if source:
        payload += attribute(_RTA_PREFSRC, source)
    kind, flags = (RTM_DELROUTE, 0) if delete else (RTM_NEWROUTE, CREATE | REPLACE)
    return Message(kind, flags, payload, f"route to {destination}")


def blackhole(destination: IPNetwork, *, delete: bool = False) -> Message:
    """Packets for `destination` are dropped where no longer prefix has a route."""
    payload = _RTMSG.pack(
        FAMILY[len(destination.network_address.packed)],
        destination.prefixlen,
        0,
        0,
        _RT_TABLE_MAIN,
        _RTPROT_STATIC,
        _RT_SCOPE_UNIVERSE,
        _RTN_BLACKHOLE,
        0,
    ) + attribute(_RTA_DST, destination.network_address.packed)
    kind, flags = (RTM_DELROUTE, 0) if delete else (RTM_NEWROUTE, CREATE | REPLACE)
    return Message(kind, flags, payload, f"blackhole {destination}")
