"""`testbed-local`'s decisions: whose turn which address is. Pure.

The keys are host-local's: `ranges` (a list of sets, an address of each; a set is a list of parts of a subnet),
or `subnet` for one set of one part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from testbed.ip import IPAddress, IPInterface, IPNetwork


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a subnet."""

    subnet: IPNetwork
    first: IPAddress
    last: IPAddress
    gateway: IPAddress

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1


RangeSet = tuple[Range, ...]


def ranges_of(ipam: Mapping[str, Any]) -> tuple[RangeSet, ...]:
    """As it is written. Raises ValueError."""
    written = ipam.get("ranges") or ([[ipam]] if ipam.get("subnet") else [])
    sets = tuple(tuple(map(_range, one)) for one in written)
    if not sets or not all(sets):
        raise ValueError("ipam needs ranges, or a subnet")
    return sets


def _range(written: Mapping[str, Any]) -> Range:
    if not written.get("subnet"):
        raise ValueError(f"a range needs a subnet: {dict(written)}")
    subnet = ip_network(written["subnet"], strict=False)
    if subnet.num_addresses < 4:
        raise ValueError(f"{subnet} is too small")
    gateway = ip_address(written.get("gateway") or subnet[1])
    first = ip_address(written.get("rangeStart") or subnet[1])
    last = ip_address(written.get("rangeEnd") or subnet[-2])
    if first not in subnet or last not in subnet or int(first) > int(last):
        raise ValueError(f"{first} to {last} is no part of {subnet}")
    return Range(subnet, first, last, gateway)


def next_free(ranges: RangeSet, used: Collection[str], last: str) -> IPInterface | None:
    """The first free address after `last` ("": none yet), from the beginning again; None: all are in use."""
    after = ip_address(last) if last else None
    for part, address in _in_turn(ranges, after):
        if address != part.gateway and str(address) not in used:
            return ip_interface(f"{address}/{part.subnet.prefixlen}")
    return None


def _in_turn(ranges: Sequence[Range], after: IPAddress | None) -> Iterator[tuple[Range, IPAddress]]:
    """Every address once, beginning after one that may be in a range."""
    at = next((at for at, part in enumerate(ranges) if after is not None and _has(part, after)), -1)
    if at < 0 or after is None:
        for part in ranges:
            yield from _addresses(part, 0, part.size)
        return
    own = int(after) - int(ranges[at].first) + 1
    yield from _addresses(ranges[at], own, ranges[at].size)
    for step in range(1, len(ranges)):
        part = ranges[(at + step) % len(ranges)]
        yield from _addresses(part, 0, part.size)
    yield from _addresses(ranges[at], 0, own)


def _has(part: Range, address: IPAddress) -> bool:
    return address.version == part.subnet.version and int(part.first) <= int(address) <= int(
        part.last
    )


def _addresses(part: Range, begin: int, end: int) -> Iterator[tuple[Range, IPAddress]]:
    for offset in range(begin, end):
        yield part, part.first + offset


def asked_for(ranges: RangeSet, wanted: Collection[str]) -> IPInterface | None:
    """The one of the addresses that the runtime asks for which is of these ranges."""
    for text in wanted:
        address = ip_interface(text).ip
        for part in ranges:
            if _has(part, address):
                return ip_interface(f"{address}/{part.subnet.prefixlen}")
    return None
