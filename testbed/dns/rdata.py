"""Data of resource records: text as zone files write it (RFC 1035, 3596, 2782) to and from bytes.

Types that the testbed does not speak keep RFC 3597's form, `\\# LENGTH HEX`.
"""

from __future__ import annotations

import re
import struct
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from testbed.dns.labels import WireError, decode_name, encode_name

A = 1
NS = 2
CNAME = 5
SOA = 6
PTR = 12
TXT = 16
AAAA = 28
SRV = 33
OPT = 41
ANY = 255

_NAMES = {
    A: "A",
    NS: "NS",
    CNAME: "CNAME",
    SOA: "SOA",
    PTR: "PTR",
    TXT: "TXT",
    AAAA: "AAAA",
    SRV: "SRV",
    OPT: "OPT",
    ANY: "ANY",
}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_SOA_TIMES = struct.Struct("!5I")
_SRV_HEAD = struct.Struct("!3H")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_STRINGS = re.compile(rf"{_STRING.pattern}(?: {_STRING.pattern})*")
_CHARACTER = re.compile(r"\\[0-9]{3}|\\?.")


def type_text(number: int) -> str:
    """`AAAA` for 28; `TYPE65` for a type without a name here (RFC 3597)."""
    return _NAMES.get(number) or f"TYPE{number}"


def type_number(text: str) -> int:
    """The inverse of `type_text`. Raises WireError."""
    upper = text.upper()
    if upper in _NUMBERS:
        return _NUMBERS[upper]
    digits = upper.removeprefix("TYPE")
    if upper.startswith("TYPE") and digits.isdecimal() and int(digits) <= 0xFFFF:
        return int(digits)
    raise WireError(f"{text!r} is not a record type")


def decode_rdata(data: bytes, rtype: int, start: int, end: int) -> str:
    """Text of the record data in `data[start:end]`; names in it may point into all of `data`."""
    if rtype == A and end - start == 4:
        return "%d.%d.%d.%d" % tuple(data[start:end])  # noqa: UP031 - three times as fast
    if rtype == AAAA and end - start == 16:
        return str(IPv6Address(data[start:end]))
    text = ""
    if rtype in (CNAME, NS, PTR):
        text, start = _whole_name(data, start)
    elif rtype == SRV and end - start > _SRV_HEAD.size:
        head = _SRV_HEAD.unpack_from(data, start)
        target, start = _whole_name(data, start + _SRV_HEAD.size)
        text = " ".join((*map(str, head), target))
    elif rtype == SOA:
        primary, start = _whole_name(data, start)
        mailbox, start = _whole_name(data, start)
        if start + _SOA_TIMES.size == end:
            text = " ".join((primary, mailbox, *map(str, _SOA_TIMES.unpack_from(data, start))))
            start = end
    elif rtype == TXT and (text := _quoted(data[start:end])):
        start = end
    elif rtype not in (A, AAAA, TXT):
        return f"\\# {end - start} {data[start:end].hex()}".rstrip()
    if start != end or not text:
        raise WireError(f"the data of a {type_text(rtype)} record has the wrong length")
    return text


def encode_rdata(rtype: int, text: str) -> bytes:
    """Bytes of record data, names uncompressed. Raises WireError."""
    fields = text.split(" ")
    try:
        if rtype in (A, AAAA):
            return (IPv4Address if rtype == A else IPv6Address)(text).packed
        if rtype in (CNAME, NS, PTR):
            return encode_name(text)
        if rtype == SRV and len(fields) == 4:
            return _SRV_HEAD.pack(*map(int, fields[:3])) + encode_name(fields[3])
        if rtype == TXT and _STRINGS.fullmatch(text):
            return _character_strings(text)
        if rtype == SOA and len(fields) == 7:
            names = encode_name(fields[0]) + encode_name(fields[1])
            return names + _SOA_TIMES.pack(*map(int, fields[2:]))
        if fields[0] == "\\#" and len(raw := bytes.fromhex("".join(fields[2:]))) == int(fields[1]):
            return raw
    except (AddressValueError, ValueError, IndexError, struct.error) as error:
        raise WireError(f"{text!r} is not the data of a {type_text(rtype)} record") from error
    raise WireError(f"{text!r} is not the data of a {type_text(rtype)} record")


def _quoted(data: bytes) -> str:
    """Character strings as text (RFC 1035 section 5.1): `"one" "two"`; "" for what is cut off."""
    strings, at = list[str](), 0
    while at < len(data):
        string = data[at + 1 : at + 1 + data[at]]
        if len(string) < data[at]:
            return ""
        strings.append("".join(map(_escaped, string)))
        at += 1 + len(string)
    return " ".join(f'"{string}"' for string in strings)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{chr(byte)}"
    return chr(byte) if 0x20 <= byte <= 0x7E else f"\\{byte:03d}"


def _character_strings(text: str) -> bytes:
    """The bytes of `_quoted`'s text. Raises ValueError for a string of more than 255."""
    strings = (_unescaped(string) for string in _STRING.findall(text))
    return b"".join(bytes((len(string),)) + string for string in strings)


def _unescaped(string: str) -> bytes:
    return b"".join(
        bytes((int(part[1:]) if part[1:].isdecimal() and len(part) == 4 else ord(part[-1]),))
        for part in _CHARACTER.findall(string)
    )


def _whole_name(data: bytes, start: int) -> tuple[str, int]:
    """A name as zone files write an absolute one: with the final dot."""
    name, after = decode_name(data, start)
    return f"{name}.", after
