"""Packets in, packets out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.dns import wire
from testbed.dns.encode import encode_reply
from testbed.dns.query import Query, Reply, Respond
from testbed.dns.ready import Ready
from testbed.dns.reply import Asked, Replier
from testbed.dns.wire import Record, Response, decode_query, decode_response, encode_query

WEB = "web.default.svc.cluster.local"
EDNS = bytes.fromhex("00 0029 04d0 00 00 0000 0000")  # OPT, 1,232 bytes, version 0
DNSSEC_OK = EDNS[:7] + b"\x80" + EDNS[8:]
KEPT = frozenset({WEB})


def addresses(count: int) -> tuple[Record, ...]:
    return tuple(Record(WEB, wire.A, 5, f"10.244.{n // 250}.{n % 250}") for n in range(count))


class Server:
    """A chain that says one thing, and how often it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.queries: list[Query] = []
        self.ready = Ready()
        self.failures: list[Exception] = []

    def serve(self, query: Query, respond: Respond) -> None:
        self.queries.append(query)
        respond(self.reply)

    def answer(self, packet: bytes, tcp: bool = False) -> bytes | None:
        found = self.ready.find(packet)
        if found is not None:
            return packet[:2] + found
        answers: list[bytes | None] = []
        replier = Replier(self.serve, self.ready, self.failures.append)
        replier.answer(Asked(packet, "10.0.0.1", 4000, tcp), answers.append)
        (answer,) = answers
        return answer

    def response(self, packet: bytes, tcp: bool = False) -> Response:
        answer = self.answer(packet, tcp)
        assert answer is not None
        return decode_response(answer)


def with_edns(packet: bytes, opt: bytes = EDNS) -> bytes:
    return packet[:10] + b"\0\1" + packet[12:] + opt


def test_ready_answers_equal_fresh_ones_but_for_the_id() -> None:
    server = Server(Reply(answers=addresses(1), depends=KEPT))
    first, second = (server.answer(encode_query(ident, WEB, wire.A)) for ident in (1, 2))
    assert first is not None
    assert second == b"\0\2" + first[2:]
    assert len(server.queries) == 1


def test_a_reply_that_holds_once_is_made_each_time() -> None:
    server = Server(Reply(answers=addresses(1)))
    for ident in range(3):
        server.answer(encode_query(ident, WEB, wire.A))
    assert len(server.queries) == 3


def test_a_touched_name_drops_what_rests_on_it() -> None:
    server = Server(Reply(answers=addresses(1), depends=KEPT))
    query = encode_query(1, WEB, wire.A)
    server.answer(query)
    server.reply = Reply(wire.NXDOMAIN)
    server.ready.forget(["other"])
    assert server.response(query).rcode == wire.NOERROR
    server.ready.forget([WEB])
    assert server.response(query).rcode == wire.NXDOMAIN


def test_the_query_id_chooses_which_address_is_first() -> None:
    server = Server(Reply(answers=addresses(3), depends=KEPT, rotate=True))
    for _ in range(2):  # made, then ready
        replies = [server.response(encode_query(ident, WEB, wire.A)) for ident in range(6)]
        firsts = [reply.answers[0].data for reply in replies]
        assert firsts == ["10.244.0.0", "10.244.0.1", "10.244.0.2"] * 2
    assert len(server.queries) == 3


def test_plug_ins_learn_who_asks_and_how() -> None:
    server = Server(Reply())
    packet = with_edns(encode_query(7, WEB.upper(), wire.AAAA), DNSSEC_OK)
    server.answer(packet, tcp=True)
    (query,) = server.queries
    assert query == Query(
        wire.Question(WEB.upper(), wire.AAAA),
        "10.0.0.1",
        ident=7,
        tcp=True,
        udp_size=1232,
        dnssec_ok=True,
        port=4000,
        size=len(packet),
    )


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
    server = Server(Reply(answers=addresses(100)))
    query = encode_query(1, WEB, wire.A)
    reply = server.answer(with_edns(query) if edns else query, tcp)
    assert reply is not None
    assert len(reply) <= limit
    response = decode_response(reply)
    assert response.truncated is not complete
    assert (len(response.answers) == 100) is complete
    assert reply.endswith(EDNS) is edns


QUERY = encode_query(1, WEB, wire.A)
REFUSED = [
    ("cut off", QUERY[:-3], wire.FORMERR),
    ("two questions", QUERY[:5] + b"\2" + QUERY[6:], wire.FORMERR),
    ("answers in a query", QUERY[:7] + b"\2" + QUERY[8:], wire.FORMERR),
    ("a compressed question", QUERY[:12] + b"\xc0\x00\0\1\0\1", wire.FORMERR),
    ("a question that points at itself", QUERY[:12] + b"\xc0\x0c\0\1\0\1", wire.FORMERR),
    ("two OPT records", QUERY[:11] + b"\2" + QUERY[12:] + EDNS * 2, wire.FORMERR),
    ("half an option", with_edns(QUERY, EDNS[:-1] + b"\4\0\1\0\5"), wire.FORMERR),
    ("an UPDATE", QUERY[:2] + b"\x28\0" + QUERY[4:], wire.NOTIMP),
    ("a header that says NOTIFY", b"\0\1\x20\0" + bytes(8), wire.NOTIMP),
]


@pytest.mark.parametrize(
    ("packet", "rcode"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_cannot_be_served_gets_its_rcode_and_no_plug_in_sees_it(
    packet: bytes, rcode: int
) -> None:
    server = Server(Reply())
    response = server.response(packet)
    assert (response.ident, response.rcode) == (1, rcode)
    assert not server.queries


def test_an_edns_version_from_the_future_is_badvers() -> None:
    server = Server(Reply())
    reply = server.answer(with_edns(QUERY, EDNS[:6] + b"\1" + EDNS[7:]))
    assert reply is not None
    assert reply[-6] == 1  # the upper bits of BADVERS (16), in the OPT record
    assert not server.queries


def test_unknown_edns_options_are_passed_over() -> None:
    cookie = EDNS[:-2] + b"\0\x0c" + b"\0\x0a\0\x08" + bytes(8)
    assert Server(Reply(answers=addresses(1))).response(with_edns(QUERY, cookie)).answers


def test_dnssec_ok_comes_back_as_it_came() -> None:
    reply = Server(Reply()).answer(with_edns(QUERY, DNSSEC_OK))
    assert reply is not None
    assert reply.endswith(DNSSEC_OK)


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, b"\0\1\x80" + b"\0" * 20])
def test_what_is_no_query_gets_no_answer(packet: bytes) -> None:
    assert Server(Reply()).answer(packet) is None


def test_a_plug_in_that_fails_is_servfail_to_this_client_alone() -> None:
    def serve(_query: Query, _respond: Respond) -> None:
        raise ZeroDivisionError

    answers: list[bytes | None] = []
    failures: list[Exception] = []
    replier = Replier(serve, Ready(), failures.append)
    replier.answer(Asked(QUERY, "10.0.0.1", 4000, False), answers.append)
    assert [type(one) for one in failures] == [ZeroDivisionError]
    assert answers[0] is not None
    assert decode_response(answers[0]).rcode == wire.SERVFAIL


def test_a_record_that_nobody_can_write_is_servfail() -> None:
    nonsense = Record(WEB, wire.A, 5, "ten dot zero")
    server = Server(Reply(answers=(nonsense,), depends=KEPT))
    assert server.response(QUERY).rcode == wire.SERVFAIL
    assert len(server.failures) == 1
    server.reply = Reply(answers=addresses(1))
    assert server.response(QUERY).answers  # the failure was not kept


LABELS = st.sampled_from(["a", "ns", "dns", "web", "hostmaster", "cluster", "CLUSTER", "local"])
NAMES = st.lists(LABELS, max_size=5).map(".".join)


@given(NAMES, NAMES.filter(bool), st.booleans())
def test_a_denial_is_what_stands_before_anything_that_is_added_to_it(
    name: str, zone: str, edns: bool
) -> None:
    soa = f"ns.dns.{zone}. hostmaster.{zone}. 1 7200 1800 86400 5"
    denial = Reply(wire.NXDOMAIN, authority=(Record(zone, wire.SOA, 5, soa),))
    packet = encode_query(7, name, wire.A)
    query = decode_query(with_edns(packet) if edns else packet)
    opt = 11 * edns
    ours = encode_reply(query, denial)
    more = encode_reply(query, replace(denial, additional=(Record("", wire.A, 5, "10.0.0.1"),)))
    assert ours[12 : len(ours) - opt] == more[12 : len(ours) - opt]
    assert len(more) == len(ours) + 15
    response = decode_response(ours)
    assert (response.rcode, response.authority[0].data) == (wire.NXDOMAIN, soa)


def test_flags_say_whose_word_it_is() -> None:
    query = decode_query(QUERY)
    ours = encode_reply(query, Reply())
    theirs = encode_reply(query, Reply(authoritative=False, recursion_available=True))
    flags = [int.from_bytes(packet[2:4], "big") for packet in (ours, theirs)]
    assert flags == [wire.QR | wire.AA | wire.RD, wire.QR | wire.RD | wire.RA]
