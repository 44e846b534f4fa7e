"""Packet in, packet out: a DNS server without its sockets."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.dns.encode import encode_reply, turns
from testbed.dns.framing import MAX_MESSAGE
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.ready import Entry, Ready
from testbed.dns.wire import (
    BADVERS,
    FORMERR,
    HEADER_SIZE,
    NOTIMP,
    OPCODE,
    QR,
    SERVFAIL,
    UDP_SIZE,
    Received,
    WireError,
    decode_query,
)

Send = Callable[[bytes | None], Any]
"""Is given the packet to send back; None where silence is the answer: it is no query, or there is no room."""
_HEAD = struct.Struct("!6H")
_FAILED = Reply(SERVFAIL, authoritative=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A packet, and whose it is."""

    packet: bytes
    client: str
    port: int
    tcp: bool


Queue = Callable[[Asked, Send], None]
"""Takes what cannot be answered at once; `send` is called later, never from within."""


class Replier:
    """Answers packets by a chain of plug-ins, and keeps what can be kept ready for the next who asks."""

    def __init__(self, serve: Serve, ready: Ready, failed: Callable[[Exception], None]) -> None:
        """`serve` must know that it knows nothing yet: then SERVFAIL is its answer.

        `failed` is told of plug-ins' mistakes: the client whose query it was gets SERVFAIL.
        """
        self._serve = serve
        self._ready = ready
        self._failed = failed

    def answer(self, asked: Asked, send: Send) -> None:
        """Have the packet answered, at once or later: `send` is called once."""
        packet = asked.packet
        if len(packet) < HEADER_SIZE or packet[2] << 8 & QR:
            send(None)
            return
        if packet[2] << 8 & OPCODE:
            send(_header_alone(packet, NOTIMP))
            return
        try:
            received = decode_query(packet)
        except WireError:
            send(_header_alone(packet, FORMERR))
            return
        if received.edns_version:
            send(encode_reply(received, Reply(BADVERS, authoritative=False)))
            return
        self._serve_one(_query(asked, received), self._responder(asked, received, send))

    def _serve_one(self, query: Query, respond: Respond) -> None:
        try:
            self._serve(query, respond)
        except Exception as error:
            self._failed(error)
            respond(_FAILED)

    def _responder(self, asked: Asked, received: Received, send: Send) -> Respond:
        responded = False

        def respond(reply: Reply) -> None:
            nonlocal responded
            if responded:
                return
            responded = True
            try:
                raw = encode_reply(received, reply, _limit(asked, received))
            except Exception as error:  # a record that nobody can write
                self._failed(error)
                send(encode_reply(received, _FAILED))
                return
            if reply.depends is not None:
                self._ready.keep(asked.packet, Entry(reply, turns(reply)), raw)
            send(raw)

        return respond


def _query(asked: Asked, received: Received) -> Query:
    return Query(
        received.question,
        asked.client,
        received.ident,
        asked.tcp,
        received.recursion_desired,
        received.udp_size,
        received.dnssec_ok,
        asked.port,
        len(asked.packet),
    )


def _limit(asked: Asked, received: Received) -> int:
    return MAX_MESSAGE if asked.tcp else received.udp_size or UDP_SIZE


def _header_alone(packet: bytes, rcode: int) -> bytes:
    """What is said to a packet that cannot be read: its id, its kind, and why not."""
    ident, flags = struct.unpack_from("!2H", packet)
    return _HEAD.pack(ident, QR | flags & OPCODE | rcode, 0, 0, 0, 0)
