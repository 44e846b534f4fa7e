"""Who answers for an address, and the frames that say so."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from testbed.edge.balanced import balanced
from testbed.edge.l2 import Candidates, announcer, answered_by, candidates
from testbed.edge.l2_frames import answer, question, solicited_node, unasked
from testbed.model.load_balancer import EXCLUDE_LABEL
from testbed.packets.decode import decode
from tests.unit.edge.balancing import endpoints, node, service

NODES = ("n1", "n2", "n3")
WEB = Candidates("default/web", ("203.0.113.7", "2001:db8::7"), NODES)
MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
IP, ASKER = IPv4Address("203.0.113.7"), IPv4Address("203.0.113.9")
IP6, ASKER6 = IPv6Address("2001:db8::7"), IPv6Address("2001:db8::9")


def test_one_of_them_answers_for_all_addresses_of_a_service() -> None:
    holders = {node: answered_by(node, [WEB], NODES) for node in NODES}
    assert sorted(map(len, holders.values())) == [0, 0, 2]


def test_the_first_by_the_hash_of_name_and_address_as_in_metallb() -> None:
    """sha256 of `n1#203.0.113.7`, and so on."""
    assert announcer(WEB, NODES) == "n2"
    assert announcer(WEB, {"n1", "n3"}) == "n3"
    assert announcer(WEB, set()) is None


def test_addresses_are_spread_over_nodes() -> None:
    many = [Candidates("", (f"203.0.113.{last}",), NODES) for last in range(256)]
    shares = [sum(announcer(one, NODES) == node for one in many) for node in NODES]
    assert min(shares) > 60


def test_only_what_its_own_node_held_moves_when_one_dies() -> None:
    many = [Candidates("", (f"203.0.113.{last}",), NODES) for last in range(64)]
    for one in many:
        before = announcer(one, NODES)
        assert announcer(one, {"n2", "n3"}) == before or before == "n1"


ROWS = {
    "all nodes, wherever its pods are": ({}, [endpoints("web", "n2")], NODES),
    "none without a pod": ({}, [endpoints("web")], ()),
    "none with pods that are not ready": ({}, [endpoints("web", "n2", ready=False)], ()),
    "but with one that still serves": (
        {},
        [endpoints("web", "n2", ready=False, serving=True)],
        NODES,
    ),
    "with policy Local those that have a pod": (
        {"external_traffic_policy": "Local"},
        [endpoints("web", "n2", "n3")],
        ("n2", "n3"),
    ),
    "with policy Local none whose pods are not ready": (
        {"external_traffic_policy": "Local"},
        [endpoints("web", "n3"), endpoints("web", "n2", ready=False)],
        ("n3",),
    ),
}


@pytest.mark.parametrize(("changes", "slices", "wanted"), ROWS.values(), ids=ROWS)
def test_nodes_that_may_be_sent_packets(
    changes: dict[str, str], slices: list[object], wanted: tuple[str, ...]
) -> None:
    web = service("web", ips=["203.0.113.7"], **changes)
    found = balanced(web, slices, map(node, NODES))  # type: ignore[arg-type]
    assert found.nodes == wanted
    assert [one.nodes for one in candidates([found])] == ([wanted] if wanted else [])


def test_a_node_with_the_label_is_left_out_whatever_its_value() -> None:
    nodes = [node("n1"), node("n2", **{EXCLUDE_LABEL: "false"})]
    found = balanced(service("web"), [endpoints("web", "n2")], nodes)
    assert found.nodes == ("n1",)


def arp_request(target: IPv4Address) -> bytes:
    body = bytes.fromhex("0001080006040001") + OTHER + ASKER.packed + bytes(6) + target.packed
    return b"\xff" * 6 + OTHER + b"\x08\x06" + body


def solicitation(target: IPv6Address, asker: IPv6Address, hops: int = 255) -> bytes:
    body = bytes.fromhex("8700000000000000") + target.packed
    head = bytes.fromhex("60000000") + len(body).to_bytes(2) + bytes((58, hops))
    to = solicited_node(target)
    return bytes(6) + OTHER + b"\x86\xdd" + head + asker.packed + to.packed + body


def test_an_arp_request_is_answered_to_the_asker() -> None:
    asked = question(arp_request(IP))
    assert asked is not None
    assert (asked.address, asked.asker, asked.asker_mac) == (IP, ASKER, OTHER)
    frame = answer(asked, MAC)
    assert frame[:14] == OTHER + MAC + b"\x08\x06"
    assert frame[20:] == b"\x00\x02" + MAC + IP.packed + OTHER + ASKER.packed


def test_a_neighbour_solicitation_is_answered_with_a_checksum_that_is_right() -> None:
    asked = question(solicitation(IP6, ASKER6))
    assert asked is not None
    frame = answer(asked, MAC)
    assert frame[:14] == OTHER + MAC + b"\x86\xdd"
    assert decode(frame, 1).protocol == "icmp6"
    assert frame[54] == 136
    assert frame[58] >> 5 == 0b011  # solicited, and overrides
    assert frame[62:78] == IP6.packed
    pseudo = frame[22:54] + (32).to_bytes(4) + (58).to_bytes(4) + frame[54:]
    total = sum(int.from_bytes(pseudo[at : at + 2]) for at in range(0, len(pseudo), 2))
    assert total % 0xFFFF == 0


def test_who_looks_for_a_duplicate_is_answered_for_all_to_hear() -> None:
    asked = question(solicitation(IP6, IPv6Address("::")))
    assert asked is not None
    assert answer(asked, MAC) == unasked(IP6, MAC)[0]


def test_unasked_arp_has_both_forms() -> None:
    request, reply = unasked(IP, MAC)
    assert (request[21], reply[21]) == (1, 2)
    assert request[:6] == reply[:6] == b"\xff" * 6
    assert request[28:32] == request[38:42] == reply[28:32] == reply[38:42] == IP.packed


FRAMES = {
    "an answer": unasked(IP, MAC)[1],
    "an advertisement": unasked(IP6, MAC)[0],
    "a solicitation that a router has passed on": solicitation(IP6, ASKER6, hops=254),
    "cut off": arp_request(IP)[:30],
    "too short for anything": b"\x00" * 5,
    "nothing": b"",
    "a TCP segment": bytes(12) + b"\x86\xdd" + bytes(6) + bytes((6, 64)) + bytes(60),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_that_ask_nothing(frame: bytes) -> None:
    assert question(frame) is None


def test_the_group_that_questions_go_to() -> None:
    """RFC 4291, section 2.7.1, has this example."""
    assert solicited_node(IPv6Address("4037::01:800:200e:8c6c")) == ip_address("ff02::1:ff0e:8c6c")
