"""One IP family's share of what a service names: kube-proxy runs a proxier for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from types import MappingProxyType

ADDRESS_TYPES = MappingProxyType({4: "IPv4", 6: "IPv6"})
"""Family -> the address type of its EndpointSlices."""

HOST_BITS = MappingProxyType({4: 32, 6: 128})
"""Family -> the length of a prefix that names one address."""

_REMEMBERED = 1 << 16


def is_of(text: str, family: int) -> bool:
    """Whether an address or a CIDR is of a family."""
    return (":" in text) == (family == 6)


def addresses(texts: Sequence[str], family: int) -> tuple[str, ...]:
    """The addresses of one family, spelt as kernels spell them."""
    if not texts:  # as mostly, of ten thousand services
        return ()
    return tuple([canonical_ip(text) for text in texts if is_of(text, family)])


def networks(texts: Sequence[str], family: int) -> tuple[str, ...]:
    """The CIDRs of one family, spelt as kernels spell them."""
    if not texts:
        return ()
    return tuple([str(ip_network(text, strict=False)) for text in texts if is_of(text, family)])


@lru_cache(maxsize=_REMEMBERED)
def canonical_ip(text: str) -> str:
    """An address in the one spelling that compares: `fd00::1` for `FD00:0::1`."""
    return text if ":" not in text else str(ip_address(text))


def contains(cidrs: Sequence[str], ips: Sequence[str]) -> bool:
    """Whether one of the addresses is in one of the CIDRs, all of one family."""
    if not cidrs:
        return False
    nets = [ip_network(cidr) for cidr in cidrs]
    return any(ip_address(ip) in net for ip in ips for net in nets)
