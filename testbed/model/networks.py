"""A network per IP family: how `podCIDR`, `serviceCIDR` and `nodeCIDR` are written, and their defaults.

As in Kubernetes' own flags, dual stack is two networks with a comma between them; the first one's
family is the cluster's primary family.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue, PlainSerializer, WithJsonSchema

from testbed.ip import IPNetwork, families_of, family_of
from testbed.model.fields import kind_of

POD_CIDR: Mapping[int, IPNetwork] = {
    4: IPv4Network("10.244.0.0/16"),
    6: IPv6Network("fd00:10:244::/56"),
}
SERVICE_CIDR: Mapping[int, IPNetwork] = {
    4: IPv4Network("10.96.0.0/16"),
    6: IPv6Network("fd00:10:96::/112"),
}
NODE_CIDR: Mapping[int, IPNetwork] = {
    4: IPv4Network("172.18.0.0/16"),
    6: IPv6Network("fd00:172:18::/64"),
}
"""By family, for what a topology leaves out."""
DEFAULTS: Mapping[str, Mapping[int, IPNetwork]] = {
    "podCIDR": POD_CIDR,
    "serviceCIDR": SERVICE_CIDR,
    "nodeCIDR": NODE_CIDR,
}
_EXAMPLE = {4: "10.244.0.0/16", 6: "fd00:10:244::/56"}
_LARGEST = {4: 8, 6: 32}
"""Prefix lengths."""


def written_families(value: Any) -> tuple[int, ...]:
    """The families that a value of one of the three keys names; none where it is no such value."""
    if not isinstance(value, str):
        return ()
    return tuple(dict.fromkeys(families_of(part for part in value.split(",") if "/" in part)))


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """The networks of a topology, those left out in the families of the first one written."""
    written = (written_families(values.get(key)) for key in DEFAULTS)
    families = next(filter(None, written), (4,))
    if families == (4,):
        return dict(values)
    given = {
        key: ",".join(str(networks[family]) for family in families)
        for key, networks in DEFAULTS.items()
    }
    return {**given, **values}


def default_spelled(key: str) -> dict[str, JsonValue]:
    """What the JSON schema adds to a key: its default as people write it."""
    return {"default": str(DEFAULTS[key][4])}


def _networks(value: Any) -> tuple[IPNetwork, ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"must be a network like 10.244.0.0/16, not {kind_of(value)}")
    found = tuple(_network(part.strip()) for part in value.split(","))
    if len({network.version for network in found}) < len(found):
        raise ValueError("one network per IP family: an IPv4 one, an IPv6 one, or both")
    return found


def _network(text: str) -> IPNetwork:
    example = _EXAMPLE[family_of(text)]
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no network; write it like {example}") from None
    if ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text!r} names a host, not a network; write {network}")
    largest = _LARGEST[network.version]
    if network.prefixlen < largest:
        raise ValueError(f"{text} is too large; the largest is a /{largest}")
    if network.is_loopback or network.is_link_local or network.is_multicast or network.is_reserved:
        raise ValueError(f"{text} is reserved; use a private one like {example}")
    return network


Networks = Annotated[
    tuple[IPNetwork, ...],
    BeforeValidator(_networks),
    PlainSerializer(lambda networks: ",".join(map(str, networks)), return_type=str),
    WithJsonSchema(
        {"type": "string", "examples": ["10.244.0.0/16", "10.244.0.0/16,fd00:10:244::/56"]}
    ),
]
