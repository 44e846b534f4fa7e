"""A stretch of addresses as people write it: a network (`203.0.113.0/28`), or from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from testbed.ip import IPAddress, IPNetwork
from testbed.model.fields import kind_of

_EXAMPLE = "write it like 203.0.113.0/28 or 203.0.113.10-203.0.113.20"


@dataclass(frozen=True, slots=True)
class AddressRange:
    """All addresses from `first` to `last`, both among them; of one IP family."""

    first: IPAddress
    last: IPAddress
    text: str
    """As it was written."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.first.version

    def __contains__(self, address: IPAddress) -> bool:
        return address.version == self.family and int(self.first) <= int(address) <= int(self.last)

    def __iter__(self) -> Iterator[IPAddress]:
        return (self.first + index for index in range(int(self.last) - int(self.first) + 1))

    def __str__(self) -> str:
        return self.text

    def overlaps(self, other: AddressRange) -> bool:
        """Whether they share an address."""
        return other.first in self or self.first in other

    def networks(self) -> list[IPNetwork]:
        """The fewest that cover exactly these addresses."""
        return list(summarize_address_range(self.first, self.last))


def address_range(text: str) -> AddressRange:
    """Raises ValueError that says how to write one."""
    try:
        if "-" not in text:
            network = ip_network(text, strict=True)
            return AddressRange(network[0], network[-1], text)
        first, last = (ip_address(end.strip()) for end in text.split("-"))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no range of addresses; {_EXAMPLE}") from None
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"{text!r} does not go from a lower address to a higher one of its family")
    return AddressRange(first, last, text)


def _read(value: Any) -> AddressRange:
    if isinstance(value, AddressRange):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be a range of addresses, not {kind_of(value)}; {_EXAMPLE}")
    return address_range(value.strip())


AddressRangeKey = Annotated[
    AddressRange,
    BeforeValidator(_read),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["203.0.113.0/28", "203.0.113.10-203.0.113.20"]}),
]
