"""Who pings whom before a lab counts as up."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.kernel.ping import echo_request
from testbed.lab.proof import sources

A, B, C = (IPv4Address(f"198.51.100.{number}") for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("nodes", "pods", "plan"),
    [
        (["n1"], {"n1": [A, B]}, {"n1": [A, B]}),
        (["n1", "n2"], {"n1": [A], "n2": [B]}, {"n1": [B], "n2": [A]}),
        (["n1", "n2", "n3"], {"n1": [A], "n3": [C]}, {"n1": [], "n2": [C], "n3": [A]}),
        ([], {}, {}),
    ],
)
def test_every_pod_is_pinged_once_and_across_nodes_where_there_are_some(
    nodes: list[str], pods: dict[str, list[IPv4Address]], plan: dict[str, list[IPv4Address]]
) -> None:
    assert sources(nodes, pods) == plan


@pytest.mark.parametrize(
    ("identifier", "sequence"), [(0, 0), (1, 1), (0xFFFF, 1), (0xFFFF, 0xFFFF), (0xF7FF, 0)]
)
def test_the_checksum_makes_the_ones_complement_sum_all_ones(
    identifier: int, sequence: int
) -> None:
    packet = echo_request(identifier, sequence)
    assert len(packet) == 8
    total = sum(int.from_bytes(packet[index : index + 2], "big") for index in range(0, 8, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF  # RFC 1071


def test_an_echo_request_as_rfc_792_lays_it_out() -> None:
    assert echo_request(0x1234, 1) == bytes.fromhex("0800 e5ca 1234 0001")
