"""Addresses and networks as people write them, in the one spelling that kernels print as well."""

from __future__ import annotations

from ipaddress import ip_address, ip_network


def address_mistake(text: str) -> str:
    """What is wrong with an IP address; "" when nothing."""
    try:
        spelled = str(ip_address(text))
    except ValueError:
        return f"{text[:60]!r} is no address; write it like 198.51.100.7 or 2001:db8::7"
    return "" if spelled == text else f"write {text} as {spelled}"


def cidr_mistake(text: str) -> str:
    """What is wrong with a network in CIDR form; "" when nothing."""
    try:
        spelled = str(ip_network(text, strict=False))
    except ValueError:
        return f"{text[:60]!r} is no network; write it like 203.0.113.0/24 or 2001:db8::/64"
    return "" if spelled == text else f"write {text} as {spelled}"
