"""DNS messages (RFC 1035, EDNS0 of RFC 6891) as bytes and as values.

Hand-written because it sits in the measured path: dnspython takes about 100 µs a message, these few
functions about a tenth, and a generator resolves a name for every new connection. The tests hold it
against dnspython.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from testbed.dns.labels import WireError, decode_name, encode_name, is_compressed, skip_name
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
    "Question",
    "Received",
    "Record",
    "Response",
    "WireError",
    "decode_query",
    "decode_response",
    "encode_name",
    "encode_query",
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

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
"""Flags of the header."""
OPCODE = 0x7800
"""The header's bits that say what kind of query it is."""
DO = 0x8000
"""Among the flags of an OPT record (RFC 3225)."""
_HEADER = struct.Struct("!6H")
HEADER_SIZE = _HEADER.size
_TYPE_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")


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
class Received:
    """A query as it came to a server.

    `question_bytes` is the question section, so that the answer repeats it in the client's case; `flags` are
    the header's; `udp_size` is None without EDNS0.
    """

    ident: int
    flags: int
    question: Question
    question_bytes: bytes
    udp_size: int | None = None
    edns_version: int = 0
    dnssec_ok: bool = False

    @property
    def recursion_desired(self) -> bool:
        return bool(self.flags & RD)


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
    flags = RD if recursion_desired else 0
    header = _HEADER.pack(ident, flags, 1, 0, 0, 0)
    return header + encode_name(name) + _TYPE_CLASS.pack(qtype, IN)


def decode_response(data: bytes) -> Response:
    """The answer in a packet. Raises WireError for anything that is not one."""
    try:
        ident, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
        if not flags & QR:
            raise WireError("a query where an answer was expected")
        offset, question = _HEADER.size, None
        for _ in range(questions):
            question, offset = _question(data, offset)
        answer_records, offset = _records(data, offset, answers)
        authority_records, offset = _records(data, offset, authorities)
    except struct.error as error:
        raise WireError("the packet is cut off") from error
    truncated = bool(flags & TC)
    return Response(ident, flags & 0xF, truncated, answer_records, authority_records, question)


def decode_query(data: bytes) -> Received:
    """The query in a packet. Raises WireError for an answer, more than one question, or garbage.

    Every query is cheap to read: as many records as questions of clients have, and no name but the
    question's is followed.
    """
    try:
        ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
        if flags & QR or questions != 1:
            raise WireError("not a query with one question")
        if answers > 1 or authorities > 1 or additional > 2:
            raise WireError("more records than a query has")  # CoreDNS's limits
        question, offset = _question(data, _HEADER.size)
        question_bytes = data[_HEADER.size : offset]
        if is_compressed(data, _HEADER.size):
            raise WireError("the name of the question is compressed")
        for _ in range(answers + authorities):
            offset = _after_record(data, skip_name(data, offset))
        received = Received(ident, flags, question, question_bytes)
        return _with_edns(received, data, offset, additional) if additional else received
    except struct.error as error:
        raise WireError("the packet is cut off") from error


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


def _with_edns(query: Received, data: bytes, offset: int, count: int) -> Received:
    """The query with what the OPT record of the additional section says (RFC 6891); options are passed over."""
    opt: tuple[int, int] | None = None
    for _ in range(count):
        start = skip_name(data, offset)
        rtype, size, flags, length = _RECORD.unpack_from(data, start)
        after = _after_record(data, start)
        if rtype == OPT:
            if opt is not None:
                raise WireError("more than one OPT record")  # RFC 6891 section 6.1.1
            if start != offset + 1:
                raise WireError("an OPT record that is not the root's")
            _check_options(data, after - length, after)
            opt = size, flags
        offset = after
    if opt is None:
        return query
    size, flags = opt
    return replace(
        query,
        udp_size=max(size, UDP_SIZE),
        edns_version=flags >> 16 & 0xFF,
        dnssec_ok=bool(flags & DO),
    )


def _check_options(data: bytes, offset: int, end: int) -> None:
    """Raises WireError where options of an OPT record do not fill it."""
    while offset < end:
        _, length = _TYPE_CLASS.unpack_from(data, offset)
        offset += _TYPE_CLASS.size + length
    if offset != end:
        raise WireError("an EDNS option runs past the end of its record")


def _after_record(data: bytes, offset: int) -> int:
    """Where a record ends whose name ends at `offset`."""
    *_, length = _RECORD.unpack_from(data, offset)
    end: int = offset + _RECORD.size + length
    if end > len(data):
        raise WireError("a record runs past the end of the packet")
    return end
