"""Frames decoded, and what a line says of them."""

from __future__ import annotations

import pytest

from testbed.dns.wire import A, encode_query
from testbed.packets.decode import decode
from testbed.packets.describe import describe
from testbed.packets.pcapng import RAW_IP
from tests.addresses import PLAN, PLAN6
from tests.unit.packets.frames import arp, ethernet, icmp, ip, tcp, udp

CLIENT, WEB = PLAN.pods["web-1"], PLAN.pods["web-0"]
CLIENT6, WEB6 = PLAN6.pods["web-1"], PLAN6.pods["web-0"]
SYN = ip(CLIENT, WEB, "tcp", tcp(40000, 80, "S", seq=7))
REQUEST = tcp(40000, 80, "PA", b"GET /hostname HTTP/1.1\r\nHost: web\r\n\r\n")
QUERY = encode_query(1, "web.default.svc.cluster.local", A)
BINARY = bytes(range(200, 256))

LINES = (
    ("a first packet", SYN, f"{CLIENT}:40000 > {WEB}:80 tcp S seq 7"),
    (
        "a request",
        ip(CLIENT, WEB, "tcp", REQUEST),
        f"{CLIENT}:40000 > {WEB}:80 tcp PA 37 bytes: GET /hostname HTTP/1.1",
    ),
    ("a reset", ip(CLIENT, WEB, "tcp", tcp(1, 2, "RA")), f"{CLIENT}:1 > {WEB}:2 tcp RA"),
    (
        "IPv6",
        ip(CLIENT6, WEB6, "tcp", tcp(40000, 80, "S", seq=7)),
        f"[{CLIENT6}]:40000 > [{WEB6}]:80 tcp S seq 7",
    ),
    (
        "a datagram",
        ip(CLIENT, WEB, "udp", udp(5, 6, b"hostname")),
        f"{CLIENT}:5 > {WEB}:6 udp 8 bytes: hostname",
    ),
    (
        "a datagram that is no text",
        ip(CLIENT, WEB, "udp", udp(5, 6, BINARY)),
        f"{CLIENT}:5 > {WEB}:6 udp {len(BINARY)} bytes",
    ),
    (
        "a question",
        ip(CLIENT, WEB, "udp", udp(5, 53, QUERY)),
        f"{CLIENT}:5 > {WEB}:53 udp dns A? web.default.svc.cluster.local",
    ),
    (
        "a refusal quotes what it refuses",
        ip(WEB, CLIENT, "icmp", icmp(3, 3, SYN[:28])),
        f"{WEB} > {CLIENT} icmp port unreachable of {CLIENT}:40000 > {WEB}:80 tcp",
    ),
    (
        "a refusal in IPv6",
        ip(WEB6, CLIENT6, "icmp6", icmp(1, 4, ip(CLIENT6, WEB6, "udp", udp(5, 6)))),
        f"{WEB6} > {CLIENT6} icmp6 port unreachable of [{CLIENT6}]:5 > [{WEB6}]:6 udp",
    ),
    (
        "a later fragment",
        ip(CLIENT, WEB, "udp", b"rest", fragment=185),
        f"{CLIENT} > {WEB} udp fragment 4 bytes: rest",
    ),
)


@pytest.mark.parametrize(
    ("frame", "line"), [row[1:] for row in LINES], ids=[row[0] for row in LINES]
)
def test_a_packet_in_a_line(frame: bytes, line: str) -> None:
    assert describe(decode(ethernet(frame))) == line
    assert describe(decode(frame, RAW_IP)) == line
    assert describe(decode(ethernet(frame, vlan=7))) == line


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (True, f"{CLIENT} > {WEB} arp who has {WEB}"),
        (False, f"{CLIENT} > {WEB} arp {CLIENT} is at "),
    ],
)
def test_arp(request_: bool, line: str) -> None:
    assert describe(decode(ethernet(arp(CLIENT, WEB, request_), 0x0806))).startswith(line)


@pytest.mark.parametrize("frame", [row[1] for row in LINES], ids=[row[0] for row in LINES])
def test_whatever_is_cut_off_is_told_as_far_as_it_goes(frame: bytes) -> None:
    whole = ethernet(frame)
    for size in range(len(whole)):
        describe(decode(whole[:size]))


def test_ethernet_padding_is_no_payload() -> None:
    packet = decode(ethernet(ip(CLIENT, WEB, "tcp", tcp(1, 2, "A"))) + bytes(6))
    assert packet.payload == b""
