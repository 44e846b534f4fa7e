"""DNS messages against dnspython, and against packets that are out to hurt."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.dns import wire
from testbed.dns.encode import encode_reply
from testbed.dns.labels import MAX_NAME, decode_name, encode_name
from testbed.dns.query import Reply
from testbed.dns.wire import Received, Record, WireError

NAME = "web.default.svc.cluster.local"

labels = st.binary(min_size=1, max_size=20)
names = st.lists(labels, max_size=6).map(lambda parts: dns.name.Name([*parts, b""]))
plain = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{1,8}){0,4}", fullmatch=True)
idents = st.integers(0, 0xFFFF)


def query_for(name: str = NAME, qtype: int = wire.A, edns: int | None = None) -> Received:
    rdtype = dns.rdatatype.RdataType(qtype)
    message = dns.message.make_query(name, rdtype, use_edns=0 if edns else -1, payload=edns or 0)
    return wire.decode_query(message.to_wire())


@given(idents, plain, st.sampled_from([wire.A, wire.AAAA, wire.SRV]), st.booleans())
def test_queries_are_bytes_that_dnspython_writes(
    ident: int, name: str, qtype: int, recursive: bool
) -> None:
    expected = dns.message.make_query(name, dns.rdatatype.RdataType(qtype), id=ident)
    expected.flags = dns.flags.RD if recursive else 0
    assert wire.encode_query(ident, name, qtype, recursive) == expected.to_wire()


@given(names)
def test_any_name_survives_the_way_there_and_back(name: dns.name.Name) -> None:
    raw = name.to_wire()
    assert raw is not None
    text, after = decode_name(raw, 0)
    assert after == len(raw)
    assert encode_name(text) == raw
    assert encode_name(f"{text}.") == raw
    assert dns.name.from_text(f"{text}.") == name


RECORDS = [
    ("A", "10.96.0.10"),
    ("AAAA", "fd00::1"),
    ("CNAME", "web.example.org."),
    ("PTR", "a."),
    ("SRV", f"0 33 8080 a.{NAME}."),
    ("SOA", "ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"),
    ("TXT", '"hi"'),
    ("TXT", '"two strings" "\\"quoted\\" \\\\ \\007"'),
    ("TYPE999", "\\# 3 026869"),
]


@pytest.mark.parametrize(("kind", "data"), RECORDS)
def test_record_data_reads_back_as_dnspython_compresses_it(kind: str, data: str) -> None:
    message = dns.message.make_response(dns.message.make_query(NAME, kind))
    message.answer.append(dns.rrset.from_text(f"{NAME}.", 5, "IN", kind, data))
    (record,) = wire.decode_response(message.to_wire()).answers
    assert record == Record(NAME, wire.type_number(kind), 5, data)


@pytest.mark.parametrize(("kind", "data"), RECORDS)
def test_dnspython_reads_what_the_server_writes(kind: str, data: str) -> None:
    rtype = wire.type_number(kind)
    raw = encode_reply(query_for(NAME, rtype), Reply(answers=(Record(NAME, rtype, 5, data),)))
    (rrset,) = dns.message.from_wire(raw).answer
    assert rrset.to_text() == f"{NAME}. 5 IN {kind} {data}"


def test_owner_names_are_compressed_and_the_questions_case_is_kept() -> None:
    query = wire.decode_query(wire.encode_query(1, NAME.upper(), wire.A))
    records = tuple(Record(NAME.upper(), wire.A, 5, f"10.244.0.{n}") for n in range(10))
    raw = encode_reply(query, Reply(answers=records))
    assert len(raw) == 12 + len(query.question_bytes) + 10 * 16
    assert wire.decode_response(raw).answers == records


def test_names_point_back_to_their_first_use_be_it_in_data() -> None:
    answers = (
        Record(NAME, wire.CNAME, 5, "a.example."),
        *[Record("a.example", 1, 5, "10.0.0.1")] * 2,
    )
    raw = encode_reply(query_for(), Reply(answers=answers))
    assert wire.decode_response(raw).answers == answers
    assert raw.count(b"\x07example") == 1


@pytest.mark.parametrize(
    ("limit", "edns"), [(512, None), (512, 1232), (600, 1232), (4096, None), (12, None)]
)
def test_an_answer_never_exceeds_its_limit_and_says_so(limit: int, edns: int | None) -> None:
    records = tuple(Record(NAME, wire.A, 5, f"10.244.1.{n}") for n in range(100))
    raw = encode_reply(query_for(edns=edns), Reply(answers=records), limit)
    response = wire.decode_response(raw)
    assert len(raw) <= max(limit, 12 + len(query_for().question_bytes))
    assert response.truncated == (len(response.answers) < 100)
    assert response.answers == records[: len(response.answers)]
    assert dns.message.from_wire(raw).edns == (0 if edns else -1)


def test_extended_rcodes_are_split_over_header_and_opt() -> None:
    raw = encode_reply(query_for(edns=1232), Reply(wire.BADVERS))
    assert dns.message.from_wire(raw).rcode() == wire.BADVERS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a..b", "empty"),
        (".a", "empty"),
        ("x" * 64, "longer than 63"),
        (".".join(["x" * 63] * 4), f"longer than {MAX_NAME}"),
        ("bücher.example", "punycode"),
        ("a\\", "backslash"),
        ("a\\999", "escape"),
    ],
)
def test_names_that_cannot_be_sent_are_refused(name: str, why: str) -> None:
    with pytest.raises(WireError, match=why):
        encode_name(name)


HEAD = bytes.fromhex("0001 8180 0001 0000 0000 0000")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut off"),
        (HEAD[:11], "cut off"),
        (HEAD, "past the end"),
        (HEAD + b"\xc0\x0c\0\1\0\1", "backwards"),
        (HEAD + b"\1a\xc0\x0c\0\1\0\1", "backwards"),
        (HEAD + b"\xc0", "cut off"),
        (HEAD + b"\x40a\0\0\1\0\1", "label type"),
        (HEAD + b"\5ab", "cut off"),
        (HEAD + b"\0\0\1\0", "cut off"),
        (HEAD[:6] + b"\0\1" + HEAD[8:] + b"\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\4\1\1", "past the end"),
        (HEAD[:6] + b"\0\1" + HEAD[8:] + b"\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\2\1\1", "wrong length"),
        (HEAD[:2] + b"\1\0" + HEAD[4:], "query where an answer"),
    ],
)
def test_malformed_answers_raise_and_never_loop(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        wire.decode_response(data)


def test_long_pointer_chains_end() -> None:
    pointers = [bytes((0xC0 | target >> 8, target & 0xFF)) for target in range(0, 4000, 4)]
    chain = b"\1a\0\0" + b"".join(b"\1a" + pointer for pointer in pointers)
    with pytest.raises(WireError, match="longer than 255"):
        decode_name(chain, len(chain) - 4)


@given(st.binary(max_size=80), st.booleans())
def test_no_packet_raises_anything_but_wire_error(tail: bytes, response: bool) -> None:
    head = bytes((0, 1, 0x80 if response else 0, 0, 0, 1, 0, 1, 0, 1, 0, 1))
    decode = wire.decode_response if response else wire.decode_query
    try:
        decode(head + tail)
    except WireError:
        return


@given(st.data())
def test_damaged_answers_raise_nothing_but_wire_error(data: st.DataObject) -> None:
    records = tuple(Record(NAME, wire.type_number(kind), 5, text) for kind, text in RECORDS)
    raw = bytearray(encode_reply(query_for(edns=1232), Reply(answers=records)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(2, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        wire.decode_response(bytes(raw))
    except WireError:
        return


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (HEAD + b"\0\0\1\0\1", "not a query"),
        (b"\0\1\0\0\0\2\0\0\0\0\0\0" + b"\0\0\1\0\1" * 2, "one question"),
        (b"\0\1\0\0\0\1\0\0\0\0\0\2" + b"\0\0\1\0\1" + b"\0\0\x29\4\0\0\0\0\0\0\0" * 2, "OPT"),
    ],
)
def test_queries_that_are_none_are_refused(message: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        wire.decode_query(message)


@pytest.mark.parametrize("number", [wire.A, wire.AAAA, wire.SOA, 65])
def test_type_names_read_back(number: int) -> None:
    assert wire.type_number(wire.type_text(number)) == number


def test_unknown_types_and_rcodes_are_spelled_as_numbers() -> None:
    assert wire.type_text(65) == "TYPE65"
    assert wire.rcode_text(9) == "RCODE9"
    with pytest.raises(WireError, match="not a record type"):
        wire.type_number("nonsense")
