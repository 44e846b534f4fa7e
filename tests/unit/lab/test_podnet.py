"""Pod addresses and links."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from testbed.errors import OutOfTimeOrRoom
from testbed.podnet.link import pod_link, pod_mac
from testbed.podnet.pool import AddressPool

NETWORK = IPv4Network("198.51.100.0/29")
FIRST, LAST = IPv4Address("198.51.100.2"), IPv4Address("198.51.100.6")


def test_the_first_address_is_the_nodes_and_the_last_is_broadcast() -> None:
    pool = AddressPool(NETWORK)
    given = [pool.allocate() for _ in range(5)]
    assert given == [IPv4Address(int(FIRST) + offset) for offset in range(5)]
    assert given[-1] == LAST
    with pytest.raises(OutOfTimeOrRoom, match=r"all 5 pod addresses of 198\.51\.100\.0/29"):
        pool.allocate()


def test_a_freed_address_is_used_again_after_all_others() -> None:
    pool = AddressPool(NETWORK)
    first = pool.allocate()
    pool.release(first)
    given = [pool.allocate() for _ in range(5)]
    assert given[0] == IPv4Address(int(FIRST) + 1)
    assert given[-1] == first


def test_giving_back_twice_does_not_give_twice() -> None:
    pool = AddressPool(NETWORK)
    first = pool.allocate()
    pool.release(first)
    pool.release(first)
    assert len({pool.allocate() for _ in range(5)}) == 5
    with pytest.raises(OutOfTimeOrRoom):
        pool.allocate()


def test_an_ipv6_range_hands_out_ipv6_addresses() -> None:
    pool = AddressPool(IPv6Network("2001:db8:1:2::/64"))
    assert [str(pool.allocate()) for _ in range(2)] == ["2001:db8:1:2::2", "2001:db8:1:2::3"]


def test_a_range_without_room_is_a_sentence() -> None:
    with pytest.raises(OutOfTimeOrRoom, match="all 0 pod addresses"):
        AddressPool(IPv4Network("198.51.100.0/31")).allocate()


def test_a_link_follows_from_the_address_and_the_nodes_number() -> None:
    link = pod_link((FIRST,), 117, 1450)
    assert link.mac == pod_mac(FIRST) == "02:00:c6:33:64:02"
    assert (link.node_interface, link.node_index, link.mtu) == ("pod117", 117, 1450)
    assert len(pod_link((FIRST,), 10**9, 1450).node_interface) < 16  # IFNAMSIZ
