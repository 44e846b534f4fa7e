"""Input of `nft -f` as netlink messages: what one transaction of the nftables back end consists of.

nft reads every chain and set of the kernel before it changes one rule: 0.2 s with 20,000 services, of which
the kernel takes a fifth. A text that is understood here is sent as it is; any other is left to nft.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.kernel.nft_attributes import (
    NotEncoded,
    attribute,
    comment,
    data,
    key,
    nested,
    number,
    text,
    verdict,
)
from testbed.kernel.nft_expressions import (
    FAMILY_CODES,
    AnonymousMap,
    choice_elements,
    encode_rule,
)

_NFNL_SUBSYS_NFTABLES = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWCHAIN, _DELCHAIN, _NEWRULE, _DELRULE = 3, 5, 6, 8
_NEWSET, _DELSET, _NEWELEMENT, _DELELEMENT = 9, 11, 12, 14
_REQUEST, _CREATE, _APPEND = 0x1, 0x400, 0x800
_MAP_FLAGS = 0xB
"""Anonymous, constant, a map."""
_AFFINITY_FLAGS = 0x30
"""Dynamic, with a timeout."""
_INTEGER_TYPE, _INTEGER_BYTES = 4, 4
_PORT_TYPE, _TYPE_BITS = 13, 6
_VERDICT_TYPE = 0xFFFFFF00
_MAP_USERDATA = bytes.fromhex("000401000000 010400000000 060400000000")
_VERDICT_MAP_USERDATA = bytes.fromhex("000401000000 010400000000 04080004010000000100 060400000000")
_SET_USERDATA = bytes.fromhex("000402000000")
"""What nft notes for itself: byte orders of key and data, and whether data are intervals."""
_HEADER = struct.Struct("=IHHII")
_NFGEN = struct.Struct("!BBH")
_LIST_BYTES = 60_000
_FIRST_ID = 1 << 16
"""Of the maps in a transaction; sets that are there already have no number in it."""

_LINE = re.compile(
    r"(?P<verb>add|delete|flush) (?P<kind>chain|set|rule|element) (?P<family>ip6?) (?P<table>[^\s{}]+)"
    r" (?P<name>[^\s{}]+)(?: (?P<rest>.+))?"
)
_AFFINITY = re.compile(
    r"\{ type (?:ipv4_addr|ipv6_addr) ; flags dynamic,timeout ; timeout (?P<seconds>\d+)s ; \}"
)
_ELEMENT = re.compile(
    r'(?P<key>[0-9a-z.: ]*?[0-9a-z.:])(?: comment "(?P<comment>[^"]*)")?(?: : (?P<verdict>\w[^,]*))?'
)


@dataclass(frozen=True, slots=True)
class Message:
    """One request; `line` is what it comes from."""

    type: int
    flags: int
    family: int
    attributes: bytes
    line: str

    def packed(self, sequence: int) -> bytes:
        body = _NFGEN.pack(self.family, 0, 0) + self.attributes
        kind = _NFNL_SUBSYS_NFTABLES << 8 | self.type
        return _HEADER.pack(16 + len(body), kind, self.flags, sequence, 0) + body


def encode(input_text: str) -> tuple[Message, ...] | None:
    """The messages of a text, in order; None where nft has to read it."""
    messages: list[Message] = []
    try:
        for number_of_line, line in enumerate(input_text.splitlines()):
            messages += _encoded(line, _FIRST_ID + number_of_line)
    except NotEncoded:
        return None
    return tuple(messages)


def batch(messages: tuple[Message, ...]) -> bytes:
    """One transaction; message n has the sequence number n + 1."""
    ends = [
        _HEADER.pack(20, kind, _REQUEST, sequence, 0) + _NFGEN.pack(0, 0, _NFNL_SUBSYS_NFTABLES)
        for kind, sequence in ((_BATCH_BEGIN, 0), (_BATCH_END, len(messages) + 1))
    ]
    packed = [message.packed(number + 1) for number, message in enumerate(messages)]
    return b"".join([ends[0], *packed, ends[1]])


def _encoded(line: str, map_id: int) -> list[Message]:
    found = _LINE.fullmatch(line)
    if not found:
        raise NotEncoded(line)
    what, rest = f"{found['verb']} {found['kind']}", found["rest"] or ""
    family = FAMILY_CODES[found["family"]].nfproto
    table, name = text(1, found["table"]), found["name"]

    def message(kind: int, flags: int, *attributes: bytes) -> Message:
        return Message(kind, _REQUEST | flags, family, b"".join([table, *attributes]), line)

    if not rest:
        return [message(*_bare(what, name, line))]
    if what in {"add element", "delete element"}:
        kind, flags = (_NEWELEMENT, _CREATE) if found["verb"] == "add" else (_DELELEMENT, 0)
        return [message(kind, flags, text(2, name), part) for part in _lists(_elements(rest))]
    if what == "add set":
        return [message(_NEWSET, _CREATE, text(2, name), _affinity(found["family"], rest, map_id))]
    if what != "add rule":
        raise NotEncoded(line)
    rule = encode_rule(rest, name, found["family"], map_id)
    last = message(_NEWRULE, _CREATE | _APPEND, text(2, name), rule.attributes)
    if rule.map is None:
        return [last]
    declared = _declared(rule.map, found["family"], map_id)
    filled = [
        message(_NEWELEMENT, _CREATE, number(4, map_id), part)
        for part in _lists(choice_elements(rule.map))
    ]
    return [message(_NEWSET, _CREATE, declared), *filled, last]


def _bare(what: str, name: str, line: str) -> tuple[int, int, bytes]:
    """(type, flags, attributes) of a line that only names something."""
    match what:
        case "add chain":
            return _NEWCHAIN, _CREATE, text(3, name)
        case "delete chain":
            return _DELCHAIN, 0, text(3, name)
        case "flush chain":
            return _DELRULE, 0, text(2, name)
        case "delete set":
            return _DELSET, 0, text(2, name)
    raise NotEncoded(line)


def _lists(elements: list[bytes]) -> Iterator[bytes]:
    """Elements as lists of them: an attribute's length has 16 bits."""
    part: list[bytes] = []
    size = 0
    for one in elements:
        if size + len(one) > _LIST_BYTES:
            yield nested(3, *part)
            part, size = [], 0
        part.append(one)
        size += len(one)
    yield nested(3, *part)


def _elements(listed: str) -> list[bytes]:
    found = [
        _ELEMENT.fullmatch(one) for one in listed.removeprefix("{ ").removesuffix(" }").split(", ")
    ]
    return [_element(one, listed) for one in found]


def _element(found: re.Match[str] | None, listed: str) -> bytes:
    if not found:
        raise NotEncoded(listed)
    parts = [data(1, key(found["key"]))]
    if found["verdict"]:
        parts.append(verdict(2, found["verdict"]))
    if found["comment"]:
        parts.append(comment(6, found["comment"]))
    return nested(1, *parts)


def _affinity(family: str, declaration: str, set_id: int) -> bytes:
    found = _AFFINITY.fullmatch(declaration)
    if not found:
        raise NotEncoded(declaration)
    codes = FAMILY_CODES[family]
    timeout_ms = int(found["seconds"]) * 1000
    return b"".join(
        [
            number(3, _AFFINITY_FLAGS),
            number(4, codes.address_type),
            number(5, codes.address_bytes),
            number(10, set_id),
            attribute(11, struct.pack("!Q", timeout_ms)),
            attribute(13, _SET_USERDATA),
        ]
    )


def _declared(the_map: AnonymousMap, family: str, map_id: int) -> bytes:
    codes = FAMILY_CODES[family]
    target_type = codes.address_type << _TYPE_BITS | _PORT_TYPE
    return b"".join(
        [
            text(2, the_map.name),
            number(3, _MAP_FLAGS),
            number(4, _INTEGER_TYPE),
            number(5, _INTEGER_BYTES),
            number(6, _VERDICT_TYPE if the_map.verdicts else target_type),
            number(7, 0 if the_map.verdicts else codes.address_bytes + 4),
            number(10, map_id),
            nested(9, number(1, len(the_map.choices))),
            attribute(13, _VERDICT_MAP_USERDATA if the_map.verdicts else _MAP_USERDATA),
        ]
    )
