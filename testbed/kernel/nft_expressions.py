"""A rule of the nftables back end as the kernel's expressions: those that nft itself would send.

Each expression loads a register, compares or changes it, or acts with it (libnftnl, include/linux/netfilter/
nf_tables.h). Only the rules of single service ports are known; the fixed ones are nft's.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.kernel.nft_attributes import (
    PROTOCOLS,
    NotEncoded,
    address,
    comment,
    data,
    key,
    nested,
    number,
    port,
    text,
    verdict,
)

RULE_EXPRESSIONS, RULE_USERDATA = 4, 7
_ELEMENT, _NAME, _DATA = 1, 1, 2
_REGISTER_1, _REGISTER_2, _VERDICT_REGISTER = 1, 2, 0
_SECOND_WORD = 9
"""Where a port lies behind an IPv4 address in register 1; behind one of IPv6, register 2."""
_NETWORK_HEADER, _EQUAL, _RANDOM, _DNAT, _UPDATE = 1, 0, 1, 1, 1
_PORT_IS_GIVEN = 2
_META_MARK, _META_L4PROTO = 3, 16
_FIB_ADDRTYPE, _FIB_SADDR, _RTN_LOCAL = 3, 1, 2
_IPV4_BYTES = 4
_HOST_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class FamilyCodes:
    """How an address family is coded."""

    nfproto: int
    source_offset: int
    address_bytes: int
    address_type: int
    """nft's number for ipv4_addr or ipv6_addr."""


FAMILY_CODES = {"ip": FamilyCodes(2, 12, 4, 7), "ip6": FamilyCodes(10, 8, 16, 8)}


@dataclass(frozen=True, slots=True)
class AnonymousMap:
    """The map inside a rule: n choices, each an (address . port) or a verdict."""

    name: str
    choices: tuple[str, ...]
    verdicts: bool


@dataclass(frozen=True, slots=True)
class EncodedRule:
    """A rule's attributes behind table and chain, and the map that it brings along."""

    attributes: bytes
    map: AnonymousMap | None = None


Expressions = list[bytes]
_STATEMENTS = tuple(
    re.compile(pattern + "(?: |$)")
    for pattern in (
        r"meta l4proto (?P<protocol>tcp|udp|sctp)",
        r"ip6? saddr @(?P<set>[^\s{}]+)",
        r"ip6? saddr (?P<network>[0-9a-f.:]+/\d+)",
        r"fib saddr type (?P<local>local)",
        r"mark set mark or (?P<mark>0x[0-9a-f]+)",
        r"numgen random mod (?P<verdicts>\d+ vmap \{ [^{}]+ \})",
        r"dnat ip6? addr \. port to numgen random mod (?P<targets>\d+ map \{ [^{}]+ \})",
        r"dnat to (?P<target>\S+)",
        r"update @(?P<update>[^\s{}]+) \{ ip6? saddr \}",
        r"(?P<goto>(?:goto|jump) [^\s{}]+|drop)",
        r'comment "(?P<comment>[^"]*)"',
    )
)


def encode_rule(rule: str, chain: str, family: str, map_id: int) -> EncodedRule:
    """A rule as it stands behind its chain's name. `map_id` names its map within the transaction.

    The map is named after the chain, which never has two. (For nft's own `__map%d` the kernel reads the names
    of all sets for a number that is free, 4 ms with 20,000 of them.) Raises NotEncoded.
    """
    codes = FAMILY_CODES[family]
    expressions: list[bytes] = []
    said, the_map, rest = "", None, rule
    while rest:
        name, value, length = _statement(rest)
        if said:
            raise NotEncoded(rule)
        if name == "comment":
            said = value
        elif name in {"verdicts", "targets"}:
            the_map = _choices(f"__{chain}", value, verdicts=name == "verdicts")
            expressions += _pick(the_map, codes, map_id)
        else:
            expressions += _ENCODERS[name](value, codes)
        rest = rest[length:]
    userdata = comment(RULE_USERDATA, said) if said else b""
    return EncodedRule(nested(RULE_EXPRESSIONS, *expressions) + userdata, the_map)


def _statement(rest: str) -> tuple[str, str, int]:
    """The first statement of what is left of a rule: what it is, what it says, how long it is."""
    for pattern in _STATEMENTS:
        found = pattern.match(rest)
        if found:
            return str(found.lastgroup), found[str(found.lastgroup)], found.end()
    raise NotEncoded(rest)


def _choices(name: str, listed: str, *, verdicts: bool) -> AnonymousMap:
    """`N map { 0 : …, 1 : … }`'s inside, all N of them in order."""
    n, _, pairs = listed.partition(" ")
    found = [one.partition(" : ") for one in pairs.split("{ ", 1)[1].removesuffix(" }").split(", ")]
    if [index for index, _, _ in found] != [str(index) for index in range(int(n))]:
        raise NotEncoded(listed)
    return AnonymousMap(name, tuple([value for _, _, value in found]), verdicts)


# Expressions


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_ELEMENT, text(_NAME, name), nested(_DATA, *attributes))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", number(1, _REGISTER_1), number(2, _EQUAL), data(3, value))


def _protocol(value: str, codes: FamilyCodes) -> Expressions:
    meta = _expression("meta", number(2, _META_L4PROTO), number(1, _REGISTER_1))
    return [meta, _equals(bytes((PROTOCOLS[value],)))]


def _source(codes: FamilyCodes, length: int) -> bytes:
    return _expression(
        "payload",
        number(1, _REGISTER_1),
        number(2, _NETWORK_HEADER),
        number(3, codes.source_offset),
        number(4, length),
    )


def _in_set(value: str, codes: FamilyCodes) -> Expressions:
    lookup = _expression("lookup", number(2, _REGISTER_1), text(1, value))
    return [_source(codes, codes.address_bytes), lookup]


def _in_network(value: str, codes: FamilyCodes) -> Expressions:
    network = ip_network(value)
    size = codes.address_bytes
    packed = network.network_address.packed
    if network.prefixlen % 8 == 0 and network.prefixlen:
        # Whole bytes need no mask: those of the prefix are compared, and no others loaded.
        length = network.prefixlen // 8
        return [_source(codes, length), _equals(packed[:length])]
    masked = _bitwise(network.netmask.packed, b"\0" * size)
    return [_source(codes, size), masked, _equals(packed)]


def _bitwise(mask: bytes, flip: bytes) -> bytes:
    return _expression(
        "bitwise",
        number(1, _REGISTER_1),
        number(2, _REGISTER_1),
        number(3, len(mask)),
        data(4, mask),
        data(5, flip),
    )


def _local(value: str, codes: FamilyCodes) -> Expressions:
    fib = _expression(
        "fib", number(3, _FIB_SADDR), number(2, _FIB_ADDRTYPE), number(1, _REGISTER_1)
    )
    return [fib, _equals(_HOST_U32.pack(_RTN_LOCAL))]


def _mark(value: str, codes: FamilyCodes) -> Expressions:
    bits = int(value, 16)
    return [
        _expression("meta", number(2, _META_MARK), number(1, _REGISTER_1)),
        _bitwise(_HOST_U32.pack(0xFFFFFFFF & ~bits), _HOST_U32.pack(bits)),
        _expression("meta", number(2, _META_MARK), number(3, _REGISTER_1)),
    ]


def _verdict(value: str, codes: FamilyCodes) -> Expressions:
    return [_expression("immediate", number(1, _VERDICT_REGISTER), verdict(2, value))]


def _remember(value: str, codes: FamilyCodes) -> Expressions:
    update = _expression("dynset", number(4, _REGISTER_1), number(3, _UPDATE), text(1, value))
    return [_source(codes, codes.address_bytes), update]


def _translate(value: str, codes: FamilyCodes) -> Expressions:
    ip, _, number_of_port = value.rpartition(":")
    where = address(ip.removeprefix("[").removesuffix("]"))
    return [
        _expression("immediate", number(1, _REGISTER_1), data(2, where)),
        _expression("immediate", number(1, _REGISTER_2), data(2, port(number_of_port))),
        _nat(codes, _REGISTER_2, number(7, _PORT_IS_GIVEN)),
    ]


def _nat(codes: FamilyCodes, port_register: int, *flags: bytes) -> bytes:
    return _expression(
        "nat",
        number(1, _DNAT),
        number(2, codes.nfproto),
        number(3, _REGISTER_1),
        number(5, port_register),
        *flags,
    )


def _pick(the_map: AnonymousMap, codes: FamilyCodes, map_id: int) -> Expressions:
    """`numgen random mod n`, looked up in the rule's own map."""
    expressions = [
        _expression(
            "numgen",
            number(1, _REGISTER_1),
            number(2, len(the_map.choices)),
            number(3, _RANDOM),
            number(4, 0),
        ),
        _expression(
            "lookup",
            number(2, _REGISTER_1),
            number(3, _VERDICT_REGISTER if the_map.verdicts else _REGISTER_1),
            text(1, the_map.name),
            number(4, map_id),
        ),
    ]
    if not the_map.verdicts:
        behind = _SECOND_WORD if codes.address_bytes == _IPV4_BYTES else _REGISTER_2
        expressions.append(_nat(codes, behind))
    return expressions


_ENCODERS: dict[str, Callable[[str, FamilyCodes], Expressions]] = {
    "protocol": _protocol,
    "set": _in_set,
    "network": _in_network,
    "local": _local,
    "mark": _mark,
    "target": _translate,
    "update": _remember,
    "goto": _verdict,
}


def choice_elements(the_map: AnonymousMap) -> list[bytes]:
    """The elements of a rule's own map."""
    return [
        nested(
            _ELEMENT,
            data(1, _HOST_U32.pack(index)),
            verdict(2, choice) if the_map.verdicts else data(2, key(choice)),
        )
        for index, choice in enumerate(the_map.choices)
    ]
