"""Netlink attributes of nf_tables, as linux/netfilter/nf_tables.h and libnftnl lay them out.

Numbers of nf_tables are big-endian; what a packet or a register holds is as the machine holds it.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_VALUE, _VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_CODES = {"drop": 0, "accept": 1, "jump": -3, "goto": -4}
_COMMENT = 0
"""First kind of userdata of rules and elements: what nft shows as a comment."""

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


class NotEncoded(Exception):
    """A line says something that is not known here: nft itself has to read it."""


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value & 0xFFFFFFFF))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def data(kind: int, value: bytes) -> bytes:
    """A value of a register, a key or an element."""
    return nested(kind, attribute(_VALUE, value))


def verdict(kind: int, said: str) -> bytes:
    """`goto CHAIN`, `jump CHAIN`, `drop` or `accept`."""
    word, _, chain = said.partition(" ")
    if word not in _CODES or bool(chain) != (word in {"jump", "goto"}):
        raise NotEncoded(said)
    parts = [number(_VERDICT_CODE, _CODES[word])]
    if chain:
        parts.append(text(_VERDICT_CHAIN, chain))
    return nested(kind, nested(_VERDICT, *parts))


def comment(kind: int, said: str) -> bytes:
    """A comment as userdata."""
    value = said.encode() + b"\0"
    return attribute(kind, bytes((_COMMENT, len(value))) + value)


def key(fields: str) -> bytes:
    """`10.96.0.1 . tcp . 80`: each field filled up to whole registers."""
    return b"".join([_filled(_field(field)) for field in fields.split(" . ")])


def address(said: str) -> bytes:
    try:
        return ip_address(said).packed
    except ValueError:
        raise NotEncoded(said) from None


def port(said: str) -> bytes:
    if not said.isdigit() or int(said) > 0xFFFF:
        raise NotEncoded(said)
    return struct.pack("!H", int(said))


def _field(said: str) -> bytes:
    if said in PROTOCOLS:
        return bytes((PROTOCOLS[said],))
    return port(said) if said.isdigit() else address(said)


def _filled(value: bytes) -> bytes:
    return value + b"\0" * (-len(value) % 4)
