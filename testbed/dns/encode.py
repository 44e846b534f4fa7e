"""A reply as the packet that answers a query."""

from __future__ import annotations

import struct
import sys
from functools import lru_cache

from testbed.dns.compression import NameWriter
from testbed.dns.framing import MAX_MESSAGE
from testbed.dns.query import Reply
from testbed.dns.rdata import AAAA, CNAME, NS, OPT, PTR, SOA, A, encode_rdata
from testbed.dns.wire import AA, CD, DO, IN, OPCODE, QR, RA, RD, TC, Received, Record

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHI")
_LENGTH = struct.Struct("!H")
_OPT = struct.Struct("!BHHIH")
_TYPE_CLASS = 4
_COMPRESSED = {CNAME: (1, 0), NS: (1, 0), PTR: (1, 0), SOA: (2, 20)}
"""How many names data of a type begins with, which may be compressed (RFC 1035; no later type's, RFC 3597),
and how many bytes follow."""


def encode_reply(query: Received, reply: Reply, max_size: int = MAX_MESSAGE) -> bytes:
    """The packet, of at most `max_size` bytes.

    Records that do not fit are left out from the end, and TC says so, unless they are additional ones
    (RFC 2181 section 9). EDNS0 is answered where the query spoke it (RFC 6891 section 6.1.1), with the
    client's size, as CoreDNS does.
    """
    opt = _opt_record(query, reply.rcode)
    behind = None if reply.answers or reply.additional else _denial(query, reply.authority)
    if behind is not None:
        counts = 1, 0, len(reply.authority), bool(opt)
        head = _HEADER.pack(query.ident, _flags(query, reply), *counts)
        whole = head + query.question_bytes + behind + opt
        if len(whole) <= max_size:
            return whole
    message = bytearray(_HEADER.size) + query.question_bytes
    writer = _Writer(message, max_size - len(opt))
    writer.knows(query.question_bytes[:-_TYPE_CLASS], _HEADER.size)
    written = [0, 0, 0]
    for section, records in enumerate((_turned(query, reply), reply.authority, reply.additional)):
        for record in records:
            if not writer.fits(record):
                break
            written[section] += 1
        if writer.full:
            break
    lost = written[0] < len(reply.answers) or written[1] < len(reply.authority)
    flags = _flags(query, reply) | (TC if lost else 0)
    written[2] += bool(opt)
    _HEADER.pack_into(message, 0, query.ident, flags, 1, *written)
    return bytes(message + opt)


def _flags(query: Received, reply: Reply) -> int:
    flags = QR | query.flags & (OPCODE | RD | CD) | reply.rcode & 0xF
    return flags | (AA if reply.authoritative else 0) | (RA if reply.recursion_available else 0)


def _denial(query: Received, authority: tuple[Record, ...]) -> bytes | None:
    """What follows the question where there is no answer; None: nothing ready-made fits.

    Siblings are denied in the same bytes: a name's first label decides nothing but how far the rest of it is
    pointed to, unless it is itself part of a name in these records.
    """
    name = query.question_bytes[:-_TYPE_CLASS]
    first = name[0] + 1
    if first == 1:
        return None
    behind, names = _behind(authority, name[first:], _HEADER.size + first)
    return None if name in names else behind


@lru_cache(maxsize=1024)
def _behind(records: tuple[Record, ...], parent: bytes, at: int) -> tuple[bytes, frozenset[bytes]]:
    """Records behind a question whose name's parent stands at `at`, and the names that they could point to."""
    message = bytearray(at) + parent + bytes(_TYPE_CLASS)
    start = len(message)
    writer = _Writer(message, sys.maxsize)  # whether it fits is the whole message's affair
    writer.knows(parent, at)
    for record in records:
        writer.fits(record)
    return bytes(message[start:]), writer.names


def turns(reply: Reply) -> int:
    """How many packets a reply can be, by the query's id: one for every address that may be first."""
    return max(_addresses(reply), 1) if reply.rotate else 1


def _addresses(reply: Reply) -> int:
    return sum(record.type in (A, AAAA) for record in reply.answers)


def _turned(query: Received, reply: Reply) -> tuple[Record, ...]:
    """The answers, their addresses as many places further round as the query's id says."""
    by = query.ident % turns(reply)
    if not by:
        return reply.answers
    addresses = [record for record in reply.answers if record.type in (A, AAAA)]
    rest = tuple(record for record in reply.answers if record.type not in (A, AAAA))
    return (*rest, *addresses[by:], *addresses[:by])


class _Writer:
    """Appends records to a message until one does not fit."""

    def __init__(self, message: bytearray, room: int) -> None:
        self.full = False
        self._message = message
        self._room = room
        self._names = NameWriter(message)
        self.knows = self._names.known

    @property
    def names(self) -> frozenset[bytes]:
        """Whatever a name may point to."""
        return self._names.seen

    def fits(self, record: Record) -> bool:
        """Append a record; False: there is no room for it, and nothing is changed."""
        message = self._message
        start = len(message)
        self._names.write(record.name)
        message += _FIXED.pack(record.type, IN, record.ttl)
        at = len(message)
        message += b"\0\0"
        self._data(record)
        _LENGTH.pack_into(message, at, len(message) - at - _LENGTH.size)
        if len(message) > self._room:
            del message[start:]  # names that it brought are not pointed to: nothing follows
            self.full = True
        return not self.full

    def _data(self, record: Record) -> None:
        raw = encode_rdata(record.type, record.data)
        fields = record.data.split(" ")
        names, rest = _COMPRESSED.get(record.type, (0, len(raw)))
        if fields[0] == "\\#":  # spelled in hexadecimal
            names, rest = 0, len(raw)
        for name in fields[:names]:
            self._names.write(name)
        self._message += raw[len(raw) - rest :]


def _opt_record(query: Received, rcode: int) -> bytes:
    """b"" for a client that does not speak EDNS0; DO comes back as it came (RFC 3225 section 3)."""
    if query.udp_size is None:
        return b""
    flags = rcode >> 4 << 24 | (DO if query.dnssec_ok else 0)
    return _OPT.pack(0, OPT, query.udp_size, flags, 0)
