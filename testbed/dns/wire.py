"""DNS messages (RFC 1035, EDNS0 of RFC 6891) as bytes and as values.

Hand-written because it sits in the measured path: dnspython takes about 100 µs a message, these few
functions about a tenth, and a generator resolves a name for every new connection. The tests hold it
against dnspython.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.dns.labels import WireError, decode_name, encode_name
from testbed.dns.rdata import (
    AAAA,
    ANY,
    CNAME,
    NS,
    OPT,
    PTR,
    SOA,
    SRV,
    TXT,
    A,
    decode_rdata,
    encode_rdata,
    type_number,
    type_text,
)

__all__ = [
    "AAAA",
    "ANY",
    "CNAME",
    "NS",
    "OPT",
    "PTR",
    "SOA",
    "SRV",
    "TXT",
    "A",
    "Query",
    "Question",
    "Record",
    "Response",
    "WireError",
    "decode_query",
    "decode_response",
    "encode_name",
    "encode_query",
    "encode_response",
    "rcode_text",
    "type_number",
    "type_text",
]

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
BADVERS = 16
_RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")

IN = 1
UDP_SIZE = 512
"""Bytes of a UDP answer where the client says nothing (RFC 1035 section 4.2.1)."""

_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_HEADER = struct.Struct("!6H")
_TYPE_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_AT_QUESTION = b"\xc0\x0c"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; `name` in the case that the client wrote."""

    name: str
    type: int
    class_: int = IN


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of class IN; `data` as a zone file writes it, `ttl` in seconds."""

    name: str
    type: int
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query as a server reads it.

    `question_bytes` is the question section as it came, so that the answer repeats it in the
    client's case; `udp_size` is None without EDNS0.
    """

    ident: int
    opcode: int
    recursion_desired: bool
    question: Question
    question_bytes: bytes
    udp_size: int | None
    edns_version: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as a client reads it; `authority` tells NODATA's SOA from a referral."""

    ident: int
    rcode: int
    truncated: bool
    answers: tuple[Record, ...]
    authority: tuple[Record, ...] = ()
    question: Question | None = None


def rcode_text(rcode: int) -> str:
    """`NXDOMAIN` for 3; `RCODE9` for one without a name here."""
    return _RCODES[rcode] if rcode < len(_RCODES) else f"RCODE{rcode}"


def encode_query(ident: int, name: str, qtype: int, recursion_desired: bool = True) -> bytes:
    """A query of class IN for an absolute name; no EDNS0, as glibc sends it. Raises WireError."""
    flags = _RD if recursion_desired else 0
    header = _HEADER.pack(ident, flags, 1, 0, 0, 0)
    return header + encode_name(name) + _TYPE_CLASS.pack(qtype, IN)


def decode_response(data: bytes) -> Response:
    """The answer in a packet. Raises WireError for anything that is not one."""
    try:
        ident, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
        if not flags & _QR:
            raise WireError("a query where an answer was expected")
        offset, question = _HEADER.size, None
        for _ in range(questions):
            question, offset = _question(data, offset)
        answer_records, offset = _records(data, offset, answers)
        authority_records, offset = _records(data, offset, authorities)
    except struct.error as error:
        raise WireError("the packet is cut off") from error
    truncated = bool(flags & _TC)
    return Response(ident, flags & 0xF, truncated, answer_records, authority_records, question)


def decode_query(data: bytes) -> Query:
    """The query in a packet. Raises WireError for an answer, more than one question, or garbage."""
    try:
        ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
        if flags & _QR or questions != 1:
            raise WireError("not a query with one question")
        question, offset = _question(data, _HEADER.size)
        question_bytes = data[_HEADER.size : offset]
        _, offset = _records(data, offset, answers + authorities)
        udp_size, version = _edns(data, offset, additional)
    except struct.error as error:
        raise WireError("the packet is cut off") from error
    opcode, wants_recursion = flags >> 11 & 0xF, bool(flags & _RD)
    return Query(ident, opcode, wants_recursion, question, question_bytes, udp_size, version)


def encode_response(
    query: Query,
    rcode: int,
    answers: tuple[Record, ...] = (),
    authority: tuple[Record, ...] = (),
    max_size: int = 0xFFFF,
) -> bytes:
    """An authoritative answer to `query`, at most `max_size` bytes.

    Records that do not fit are left out from the end and TC says so (RFC 2181 section 9). EDNS0 is
    answered where the query spoke it (RFC 6891 section 6.1.1), with the client's size, as CoreDNS
    does.
    """
    opt = _opt_record(query.udp_size, rcode) if query.udp_size is not None else b""
    room = max_size - len(opt)
    message = bytearray(_HEADER.size) + query.question_bytes
    seen = {query.question.name: _AT_QUESTION}
    counts, truncated = [0, 0], False
    for section, records in enumerate((answers, authority)):
        for record in records:
            encoded = _encode_record(record, len(message), seen)
            if len(message) + len(encoded) > room:
                truncated = True
                break
            message += encoded
            counts[section] += 1
    flags = _QR | query.opcode << 11 | (_RD if query.recursion_desired else 0) | rcode & 0xF
    flags |= _AA if rcode in (NOERROR, NXDOMAIN) else 0
    flags |= _TC if truncated else 0
    _HEADER.pack_into(message, 0, query.ident, flags, 1, *counts, 1 if opt else 0)
    return bytes(message + opt)


def _question(data: bytes, offset: int) -> tuple[Question, int]:
    name, offset = decode_name(data, offset)
    qtype, qclass = _TYPE_CLASS.unpack_from(data, offset)
    return Question(name, qtype, qclass), offset + _TYPE_CLASS.size


def _records(data: bytes, offset: int, count: int) -> tuple[tuple[Record, ...], int]:
    records = []
    for _ in range(count):
        name, offset = decode_name(data, offset)
        rtype, _, ttl, length = _RECORD.unpack_from(data, offset)
        start = offset + _RECORD.size
        offset = start + length
        if offset > len(data):
            raise WireError("a record runs past the end of the packet")
        records.append(Record(name, rtype, ttl, decode_rdata(data, rtype, start, offset)))
    return tuple(records), offset


def _edns(data: bytes, offset: int, count: int) -> tuple[int | None, int]:
    """UDP size (None: no OPT record) and EDNS version of the additional section."""
    size, version = None, 0
    for _ in range(count):
        _, offset = decode_name(data, offset)
        rtype, size_or_class, flags, length = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size + length
        if offset > len(data):
            raise WireError("a record runs past the end of the packet")
        if rtype == OPT:
            if size is not None:
                raise WireError("more than one OPT record")  # RFC 6891 section 6.1.1
            size, version = max(size_or_class, UDP_SIZE), flags >> 16 & 0xFF
    return size, version


def _opt_record(udp_size: int, rcode: int) -> bytes:
    return b"\0" + _RECORD.pack(OPT, udp_size, rcode >> 4 << 24, 0)


def _encode_record(record: Record, offset: int, seen: dict[str, bytes]) -> bytes:
    """One record; an owner name met before is a pointer to it (names in data stay whole)."""
    owner = seen.get(record.name)
    if owner is None:
        owner = encode_name(record.name)
        if offset < 0x4000:
            seen[record.name] = struct.pack("!H", 0xC000 | offset)
    data = encode_rdata(record.type, record.data)
    return owner + _RECORD.pack(record.type, IN, record.ttl, len(data)) + data
