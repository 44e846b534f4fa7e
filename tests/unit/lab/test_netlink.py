"""rtnetlink messages, byte by byte as linux/rtnetlink.h lays them out, and read back by its rules."""

from __future__ import annotations

import struct
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

import pytest

from testbed.kernel import addresses, links, neighbours, netlink, static_routes
from testbed.kernel.links import End
from testbed.kernel.netlink import Message

MAC = "02:00:c6:33:64:02"
IP = IPv4Address("198.51.100.2")
IP6 = IPv6Address("2001:db8::2")
IFINFO, RTMSG, NDMSG, IFADDR = 16, 12, 12, 8
"""Bytes of the fixed part of each family of messages."""


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; fails where lengths or padding do not add up."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        assert 4 <= length <= len(data) - offset
        padding = data[offset + length : offset + (length + 3 & ~3)]
        assert padding == bytes(-length % 4)
        assert kind not in found
        found[kind] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    assert offset == len(data)
    return found


def fixed(message: Message, layout: str) -> tuple[int, ...]:
    return struct.unpack_from(layout, message.payload)


def test_a_veth_pair_names_both_ends() -> None:
    near, far = End("eth0", MAC, 1400, 2), End("pod100", "ee:ee:ee:ee:ee:ee", 1400, 100, netns=7)
    message = links.veth(near, far, master=9)
    assert message.type == links.RTM_NEWLINK
    assert fixed(message, "=BxHiII") == (0, 0, 2, 1, 1)  # index 2, IFF_UP
    ours = attributes(message.payload[IFINFO:])
    assert ours[3] == b"eth0\0"
    assert ours[1] == bytes.fromhex("0200c6336402")
    assert struct.unpack("=I", ours[4]) == (1400,)
    assert struct.unpack("=I", ours[10]) == (9,)
    info = attributes(ours[18])
    assert info[1] == b"veth"
    peer = attributes(info[2])[1]
    assert struct.unpack_from("=BxHiII", peer) == (0, 0, 100, 0, 0)  # it has no peer yet: down
    theirs = attributes(peer[IFINFO:])
    assert theirs[3] == b"pod100\0"
    assert struct.unpack("=I", theirs[28]) == (7,)


def test_an_end_without_a_number_lets_the_kernel_choose() -> None:
    message = links.veth(End("a", MAC, 1500), End("b", MAC, 1500))
    assert fixed(message, "=BxHiII")[2] == 0
    assert 10 not in attributes(message.payload[IFINFO:])
    assert 28 not in attributes(message.payload[IFINFO:])


def test_a_bridge() -> None:
    found = attributes(links.bridge("br0", 1400, 2).payload[IFINFO:])
    assert found[3] == b"br0\0"
    assert attributes(found[18]) == {1: b"bridge"}


@pytest.mark.parametrize(
    ("delete", "kind"), [(False, addresses.RTM_NEWADDR), (True, addresses.RTM_DELADDR)]
)
def test_an_address(delete: bool, kind: int) -> None:
    message = addresses.address(IPv4Interface(f"{IP}/24"), 2, delete=delete)
    assert message.type == kind
    assert fixed(message, "=BBBBI") == (2, 24, 0, 0, 2)
    assert attributes(message.payload[IFADDR:]) == {1: IP.packed, 2: IP.packed}


def test_an_ipv6_address_is_used_at_once_and_may_be_for_those_who_name_it_only() -> None:
    message = addresses.address(IPv6Interface(f"{IP6}/128"), 2)
    assert fixed(message, "=BBBBI") == (10, 128, 0x02, 0, 2)  # IFA_F_NODAD
    assert attributes(message.payload[IFADDR:]) == {1: IP6.packed, 2: IP6.packed}
    second = addresses.address(IPv6Interface(f"{IP6}/128"), 2, by_name_only=True)
    preferred_s, valid_s, *_ = struct.unpack("=IIII", attributes(second.payload[IFADDR:])[6])
    assert (preferred_s, valid_s) == (0, 2**32 - 1)


def test_a_link_local_address_is_of_link_scope() -> None:
    assert fixed(addresses.address(IPv6Interface("fe80::1/64"), 2), "=BBBBI")[3] == 253


def test_ipv6_routes_and_neighbours() -> None:
    route = static_routes.route(IPv6Network("2001:db8:1::/64"), 2, via=IP6.packed)
    assert fixed(route, "=BBBBBBBBI") == (10, 64, 0, 0, 254, 4, 0, 1, 0)
    assert attributes(route.payload[RTMSG:])[5] == IP6.packed
    hole = static_routes.blackhole(IPv6Network("2001:db8:1::/64"))
    assert fixed(hole, "=BBBBBBBBI") == (10, 64, 0, 0, 254, 4, 0, 6, 0)
    neighbour = neighbours.neighbour(IP6.packed, MAC, 100)
    assert fixed(neighbour, "=BxxxiHBB") == (10, 100, 0x80, 0, 1)
    assert attributes(neighbour.payload[NDMSG:])[1] == IP6.packed


def test_a_route_by_a_gateway() -> None:
    message = static_routes.route(IPv4Network("198.51.100.0/24"), 2, via=IP.packed, onlink=True)
    assert message.type == static_routes.RTM_NEWROUTE
    # family, destination and source bits, tos, table main, static, universe, unicast, onlink
    assert fixed(message, "=BBBBBBBBI") == (2, 24, 0, 0, 254, 4, 0, 1, 4)
    found = attributes(message.payload[RTMSG:])
    assert found == {1: bytes([198, 51, 100, 0]), 4: struct.pack("=I", 2), 5: IP.packed}


def test_a_route_down_a_link_is_of_link_scope_and_the_default_names_no_destination() -> None:
    message = static_routes.route(IPv4Network("0.0.0.0/0"), 2, delete=True)
    assert message.type == static_routes.RTM_DELROUTE
    assert fixed(message, "=BBBBBBBBI") == (2, 0, 0, 0, 254, 4, 253, 1, 0)
    assert attributes(message.payload[RTMSG:]) == {4: struct.pack("=I", 2)}


def test_a_permanent_neighbour() -> None:
    message = neighbours.neighbour(IP.packed, MAC, 100)
    assert message.type == neighbours.RTM_NEWNEIGH
    assert fixed(message, "=BxxxiHBB") == (2, 100, 0x80, 0, 1)
    assert attributes(message.payload[NDMSG:]) == {1: IP.packed, 2: netlink.mac_bytes(MAC)}


def test_links_go_up_and_away_by_number() -> None:
    assert fixed(links.link_up(5), "=BxHiII") == (0, 0, 5, 1, 1)
    gone = links.delete_link(5)
    assert gone.type == links.RTM_DELLINK
    assert fixed(gone, "=BxHiII")[2] == 5


def test_what_a_message_is_about_is_in_its_name() -> None:
    assert neighbours.neighbour(IP.packed, MAC, 1).what == f"neighbour {IP}"
    assert links.veth(End("a", MAC, 1), End("b", MAC, 1)).what == "veth a - b"
