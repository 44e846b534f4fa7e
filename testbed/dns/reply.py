"""Packet in, packet out: a DNS server without its sockets."""

from __future__ import annotations

import struct

from testbed.dns.answer import Answer, answer, rotated
from testbed.dns.names import NameTable
from testbed.dns.wire import (
    BADVERS,
    FORMERR,
    NOTIMP,
    SERVFAIL,
    UDP_SIZE,
    Query,
    WireError,
    decode_query,
    encode_response,
)

_MAX_READY = 32_768
"""Questions whose answers are kept ready; more than that are attempts to fill the memory."""

_ANSWER_BIT = 0x80


class Replier:
    """Answers packets from a name table and keeps the answers ready until the table changes.

    Until `synced` is set every query gets SERVFAIL: an empty table would say NXDOMAIN to names that
    exist, and a libc would believe it.
    """

    def __init__(self, names: NameTable) -> None:
        self.names = names
        self.synced = False
        self._ready: dict[tuple[bytes, bool], list[bytes | None]] = {}

    def changed(self) -> None:
        """The table has changed: forget every ready answer."""
        self._ready.clear()

    def reply(self, packet: bytes, tcp: bool = False) -> bytes | None:
        """The packet to send back; None where silence is the answer (no header, or not a query).

        A packet's first two bytes are its id; the rest decides the answer, so it is the cache's
        key. The id also chooses where a list of addresses starts.
        """
        key = (packet[2:], tcp)
        slots = self._ready.get(key)
        if slots is not None:
            turn = int.from_bytes(packet[:2], "big") % len(slots)
            ready = slots[turn]
            if ready is not None:
                return packet[:2] + ready
        return self._answered(packet, key)

    def _answered(self, packet: bytes, key: tuple[bytes, bool]) -> bytes | None:
        if len(packet) < 12 or packet[2] & _ANSWER_BIT:
            return None
        try:
            query = decode_query(packet)
        except WireError:
            return packet[:2] + struct.pack("!5H", 0x8000 | FORMERR, 0, 0, 0, 0)
        limit = 0xFFFF if key[1] else query.udp_size or UDP_SIZE
        refusal = self._refusal(query)
        if refusal is not None:
            return encode_response(query, refusal, max_size=limit)
        found = answer(query.question, self.names)
        turns = max(len(found.answers), 1)
        turn = query.ident % turns
        raw = _encoded(query, rotated(found, turn), limit)
        if len(self._ready) >= _MAX_READY:
            self._ready.clear()
        self._ready.setdefault(key, [None] * turns)[turn] = raw[2:]
        return raw

    def _refusal(self, query: Query) -> int | None:
        """Why a query is not looked up at all, as an rcode."""
        if query.opcode:
            return NOTIMP
        if query.edns_version:
            return BADVERS
        return None if self.synced else SERVFAIL


def _encoded(query: Query, found: Answer, limit: int) -> bytes:
    return encode_response(query, found.rcode, found.answers, found.authority, limit)
