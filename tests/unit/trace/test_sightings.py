"""Frames of many interfaces, joined to the way of one request."""

from __future__ import annotations

from testbed.packets.pcapng import Frame, Interface
from testbed.trace.sightings import Leg, datagram, legs, sightings
from tests.addresses import PLAN
from tests.unit.packets.frames import ethernet, icmp, ip, tcp, udp

POD, WEB, NODE = PLAN.pods["web-1"], PLAN.pods["web-0"], PLAN.nodes["n1"]
SERVICE = PLAN.target("web")
MARKER = b"echo 0badcafe"
BOUND = (POD, 40000, SERVICE, 80)
SEQ = 1000

Way = list[tuple[str, str, bytes]]
"""(interface, direction, frame), a microsecond after the other."""


def seen(way: Way) -> list[tuple[Interface, Frame]]:
    names = [name for name, _, _ in way]
    return [
        (Interface(name), Frame(names.index(name), number * 1000, direction, data))  # type: ignore[arg-type]
        for number, (name, direction, data) in enumerate(way)
    ]


def packet(src: tuple[str, int], dst: tuple[str, int], flags: str, **more: int) -> bytes:
    inside = bytearray(tcp(src[1], dst[1], flags, seq=more.get("seq", 0)))
    inside[8:12] = more.get("ack", 0).to_bytes(4, "big")
    return ethernet(ip(src[0], dst[0], "tcp", bytes(inside)))


def text(src: tuple[str, int], dst: tuple[str, int], data: bytes) -> bytes:
    return ethernet(ip(src[0], dst[0], "udp", udp(src[1], dst[1], data)))


def places(leg: Leg) -> tuple[list[str], list[str]]:
    return tuple(  # type: ignore[return-value]
        [f"{one.machine}/{one.interface} {one.packet.destination}" for one in way]
        for way in (leg.request, leg.reply)
    )


CLIENT, CLUSTER, POD_END = (POD, 40000), (SERVICE, 80), (WEB, 8080)
MASQUERADED = (NODE, 50000)


def test_a_connection_is_followed_through_both_rewritings_and_back() -> None:
    way = [
        ("web-1/eth0", "out", packet(CLIENT, CLUSTER, "S", seq=SEQ)),
        ("n1/pod1", "in", packet(CLIENT, CLUSTER, "S", seq=SEQ)),
        ("n1/eth0", "out", packet(MASQUERADED, POD_END, "S", seq=SEQ)),
        ("web-0/eth0", "in", packet(MASQUERADED, POD_END, "S", seq=SEQ)),
        ("web-0/eth0", "out", packet(POD_END, MASQUERADED, "SA", ack=SEQ + 1)),
        ("n1/eth0", "in", packet(POD_END, MASQUERADED, "SA", ack=SEQ + 1)),
        ("n1/pod1", "out", packet(CLUSTER, CLIENT, "SA", ack=SEQ + 1)),
        ("web-1/eth0", "in", packet(CLUSTER, CLIENT, "SA", ack=SEQ + 1)),
        ("web-1/eth0", "out", packet(CLIENT, CLUSTER, "A", seq=SEQ + 1)),
    ]
    (leg,) = legs(sightings(seen(way)), BOUND, None, MARKER)
    assert places(leg) == (
        [
            f"web-1/eth0 {SERVICE}:80",
            f"n1/pod1 {SERVICE}:80",
            f"n1/eth0 {WEB}:8080",
            f"web-0/eth0 {WEB}:8080",
        ],
        [
            f"web-0/eth0 {NODE}:50000",
            f"n1/eth0 {NODE}:50000",
            f"n1/pod1 {POD}:40000",
            f"web-1/eth0 {POD}:40000",
        ],
    )


def test_others_connections_and_what_is_sent_again_do_not_count() -> None:
    again = packet(CLIENT, CLUSTER, "S", seq=SEQ)
    way = [
        ("web-1/eth0", "out", again),
        ("n1/pod1", "in", packet((POD, 40001), CLUSTER, "S", seq=SEQ + 5)),
        ("web-1/eth0", "out", again),
    ]
    (leg,) = legs(sightings(seen(way)), BOUND, None, MARKER)
    assert places(leg) == ([f"web-1/eth0 {SERVICE}:80"], [])


def test_a_refusal_by_icmp_is_the_reply() -> None:
    syn = packet(CLIENT, CLUSTER, "S", seq=SEQ)
    refusal = ethernet(ip(NODE, POD, "icmp", icmp(3, 3, syn[14:42])))
    way = [("web-1/eth0", "out", syn), ("web-1/eth0", "in", refusal)]
    (leg,) = legs(sightings(seen(way)), BOUND, None, MARKER)
    assert [one.packet.about for one in leg.reply] == ["port unreachable"]


def test_a_node_s_own_packet_is_known_by_its_sequence_number() -> None:
    """It may be masqueraded before it passes any interface."""
    way: Way = [("n1/eth0", "out", packet(MASQUERADED, POD_END, "S", seq=SEQ))]
    assert legs(sightings(seen(way)), BOUND, None, MARKER) == ()
    assert len(legs(sightings(seen(way)), BOUND, SEQ, MARKER)) == 1


def test_a_proxy_s_own_connection_is_known_by_the_request_that_it_carries() -> None:
    request = ethernet(ip(NODE, WEB, "tcp", tcp(50000, 8080, "PA", MARKER, seq=SEQ + 8)))
    way = [
        ("web-1/eth0", "out", packet(CLIENT, CLUSTER, "S", seq=SEQ)),
        ("n1/eth0", "out", packet(MASQUERADED, POD_END, "S", seq=SEQ + 7)),
        ("n1/eth0", "in", packet(POD_END, MASQUERADED, "SA", ack=SEQ + 8)),
        ("n1/eth0", "out", request),
    ]
    first, second = legs(sightings(seen(way)), BOUND, None, MARKER)
    assert places(first)[0] == [f"web-1/eth0 {SERVICE}:80"]
    assert places(second) == ([f"n1/eth0 {WEB}:8080"], [f"n1/eth0 {NODE}:50000"])


def test_on_the_loopback_an_answer_has_the_addresses_that_were_dialled() -> None:
    way = [
        ("n1/lo", "in", packet(CLIENT, (NODE, 25570), "S", seq=SEQ)),
        ("n1/lo", "in", packet(CLUSTER, CLIENT, "SA", ack=SEQ + 1)),
    ]
    (leg,) = legs(sightings(seen(way)), BOUND, None, MARKER)
    assert places(leg) == ([f"n1/lo {NODE}:25570"], [f"n1/lo {POD}:40000"])


def test_a_datagram_is_known_by_its_payload_and_its_answer_by_its_ends() -> None:
    way = [
        ("web-1/eth0", "out", text(CLIENT, CLUSTER, MARKER)),
        ("n1/eth0", "out", text(MASQUERADED, POD_END, MARKER)),
        ("n1/eth0", "in", text(POD_END, MASQUERADED, MARKER)),
        ("n1/eth0", "out", text(CLIENT, CLUSTER, b"another")),
        ("web-1/eth0", "in", text(CLUSTER, CLIENT, MARKER)),
    ]
    (leg,) = datagram(sightings(seen(way)), BOUND, MARKER)
    assert places(leg) == (
        [f"web-1/eth0 {SERVICE}:80", f"n1/eth0 {WEB}:8080"],
        [f"n1/eth0 {NODE}:50000", f"web-1/eth0 {POD}:40000"],
    )


def test_nothing_was_seen() -> None:
    assert legs([], BOUND, SEQ, MARKER) == ()
    assert datagram([], BOUND, MARKER) == ()
