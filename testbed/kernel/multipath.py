"""Routes with several next hops (RTA_MULTIPATH of linux/rtnetlink.h), and taking routes back by destination."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from testbed.ip import IPAddress, IPNetwork
from testbed.kernel.netlink import Message, attribute
from testbed.kernel.static_routes import RTM_DELROUTE, RTM_NEWROUTE, route

_CREATE, _REPLACE = 0x400, 0x100
_RTA_DST, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 5, 9
_TABLE_MAIN, _STATIC, _UNICAST = 254, 4, 1
_UNIVERSE, _NOWHERE = 0, 255
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXT_HOP = struct.Struct("=HBBi")
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

Hop = tuple[int, IPAddress]
"""ifindex and gateway."""


def shared_route(destination: IPNetwork, hops: Sequence[Hop]) -> Message:
    """The one route to a destination: flows are spread evenly over its next hops."""
    if len(hops) == 1:
        return route(destination, hops[0][0], via=hops[0][1].packed)
    ways = b""
    for index, via in hops:
        gateway = attribute(_RTA_GATEWAY, via.packed)
        ways += _NEXT_HOP.pack(_NEXT_HOP.size + len(gateway), 0, 0, index) + gateway
    payload = _header(destination, _UNIVERSE) + attribute(_RTA_MULTIPATH, ways)
    return Message(RTM_NEWROUTE, _CREATE | _REPLACE, payload, f"route to {destination}")


def no_route(destination: IPNetwork) -> Message:
    """Takes back the route to a destination, with all its next hops."""
    payload = _header(destination, _NOWHERE)
    return Message(RTM_DELROUTE, 0, payload, f"no route to {destination}")


def _header(destination: IPNetwork, scope: int) -> bytes:
    payload = _RTMSG.pack(
        _FAMILY[destination.version],
        destination.prefixlen,
        0,
        0,
        _TABLE_MAIN,
        _STATIC,
        scope,
        _UNICAST,
        0,
    )
    if destination.prefixlen:
        payload += attribute(_RTA_DST, destination.network_address.packed)
    return payload
