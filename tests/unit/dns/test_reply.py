"""Packets in, packets out."""

from __future__ import annotations

import pytest

from testbed.dns import wire
from testbed.dns.names import NameTable
from testbed.dns.reply import Replier
from testbed.dns.wire import Response, decode_response, encode_query
from testbed.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    ObjectMeta,
    Service,
)

WEB = "web.default.svc.cluster.local"
PETS = "pets.default.svc.cluster.local"
EDNS = bytes.fromhex("00 0029 04d0 00 00 0000 0000")  # OPT, 1,232 bytes, version 0


def replier(pets: int = 3) -> Replier:
    names = NameTable()
    names.put(Service(ObjectMeta("web", "default"), cluster_ips=("10.96.1.1",)))
    names.put(Service(ObjectMeta("pets", "default"), cluster_ips=("None",)))
    endpoints = tuple(Endpoint((f"10.244.{n // 250}.{n % 250}",)) for n in range(pets))
    meta = ObjectMeta("pets-1", "default", labels={SERVICE_NAME_LABEL: "pets"})
    names.put(EndpointSlice(meta, endpoints))
    made = Replier(names)
    made.synced = True
    return made


def asked(server: Replier, packet: bytes, tcp: bool = False) -> Response:
    reply = server.reply(packet, tcp)
    assert reply is not None
    return decode_response(reply)


def with_edns(packet: bytes, opt: bytes = EDNS) -> bytes:
    return packet[:10] + b"\0\1" + packet[12:] + opt


def test_ready_answers_equal_fresh_ones_but_for_the_id() -> None:
    server = replier()
    first, second = (server.reply(encode_query(ident, WEB, wire.A)) for ident in (1, 2))
    assert first is not None
    assert second == b"\0\2" + first[2:]
    assert decode_response(second).answers[0].data == "10.96.1.1"


def test_a_change_drops_ready_answers() -> None:
    server = replier()
    query = encode_query(1, WEB, wire.A)
    assert asked(server, query).answers[0].data == "10.96.1.1"
    server.names.put(Service(ObjectMeta("web", "default"), cluster_ips=("10.96.1.2",)))
    server.changed()
    assert asked(server, query).answers[0].data == "10.96.1.2"


def test_until_it_is_in_sync_it_fails_instead_of_denying() -> None:
    server = replier()
    server.synced = False
    query = encode_query(1, "nope.default.svc.cluster.local", wire.A)
    assert asked(server, query).rcode == wire.SERVFAIL
    server.synced = True
    assert asked(server, query).rcode == wire.NXDOMAIN


def test_the_query_id_spreads_the_first_address_of_a_headless_service() -> None:
    server = replier(pets=3)
    for _ in range(2):  # made, then ready
        firsts = [asked(server, encode_query(i, PETS, wire.A)).answers[0].data for i in range(6)]
        assert firsts == ["10.244.0.0", "10.244.0.1", "10.244.0.2"] * 2


@pytest.mark.parametrize(
    ("tcp", "edns", "limit", "complete"),
    [
        (False, False, 512, False),
        (False, True, 1232, False),
        (True, False, 65535, True),
        (True, True, 65535, True),
    ],
)
def test_long_answers_are_cut_over_udp_only(
    tcp: bool, edns: bool, limit: int, complete: bool
) -> None:
    server = replier(pets=100)
    query = encode_query(1, PETS, wire.A)
    reply = server.reply(with_edns(query) if edns else query, tcp)
    assert reply is not None
    assert len(reply) <= limit
    response = decode_response(reply)
    assert response.truncated is not complete
    assert (len(response.answers) == 100) is complete
    assert reply.endswith(EDNS) is edns


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (encode_query(1, WEB, wire.A)[:-3], wire.FORMERR),
        (b"\0\1" + b"\1\0\0\2" + encode_query(1, WEB, wire.A)[6:], wire.FORMERR),
        (b"\0\1" + b"\x28\0" + encode_query(1, WEB, wire.A)[4:], wire.NOTIMP),
        (with_edns(encode_query(1, WEB, wire.A), EDNS[:6] + b"\1" + EDNS[7:]), 0),
        (encode_query(1, "example.com", wire.A), wire.REFUSED),
    ],
)
def test_queries_that_cannot_be_served_get_their_rcode(packet: bytes, rcode: int) -> None:
    assert asked(replier(), packet).rcode == rcode


def test_an_edns_version_from_the_future_is_badvers() -> None:
    packet = with_edns(encode_query(1, WEB, wire.A), EDNS[:6] + b"\1" + EDNS[7:])
    reply = replier().reply(packet)
    assert reply is not None
    assert reply[-6] == 1  # the upper bits of BADVERS (16), in the OPT record
    assert not decode_response(reply).answers


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, b"\0\1\x80" + b"\0" * 20])
def test_what_is_no_query_gets_no_answer(packet: bytes) -> None:
    assert replier().reply(packet) is None


def test_many_questions_do_not_fill_the_memory() -> None:
    server = replier()
    for number in range(33_000):
        assert server.reply(encode_query(1, f"n{number}.cluster.local", wire.A)) is not None
    assert len(server._ready) <= 32_768
