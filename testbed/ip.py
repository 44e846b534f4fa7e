"""IP addresses of either family: what is spelled differently in IPv4 and IPv6.

A family is 4 or 6, as `ipaddress` has it; Kubernetes' API says IPv4 and IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network

BITS = {4: 32, 6: 128}
"""Length of an address."""
ANYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}
"""By family: where a default route leads."""
IPV6_LEAST_MTU = 1280
"""Bytes (RFC 8200, section 5): the kernel switches IPv6 off on a link whose MTU is smaller."""
FAMILY_NAMES = {4: "IPv4", 6: "IPv6"}
"""Kubernetes' words: `ipFamilies` of a Service, `addressType` of an EndpointSlice."""


def family_of(address: str) -> int:
    """4 or 6, by an address's or a network's spelling."""
    return 6 if ":" in address else 4


def families_of(addresses: Iterable[str]) -> tuple[int, ...]:
    """The families of addresses, in their order."""
    return tuple(map(family_of, addresses))


def canonical(text: str) -> str:
    """An address as it is always spelled; "" for what is none, or one with a zone (`fe80::1%eth0`)."""
    try:
        return "" if "%" in text else str(ip_address(text))
    except ValueError:
        return ""


def host_port(address: str, port: int) -> str:
    """`10.244.1.2:80`, `[fd00::2]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def packed_as_ipv6(address: str) -> bytes:
    """16 bytes for an address of either family: IPv4 ones are mapped (RFC 4291, section 2.5.5.2)."""
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else _MAPPED + packed


def spelled(packed: bytes) -> str:
    """The address that `packed_as_ipv6` packed."""
    return str(ip_address(packed[12:] if packed.startswith(_MAPPED) else packed))


_MAPPED = bytes(10) + b"\xff\xff"
