"""Routes to pods by their nodes' own addresses: for whoever is on one network with the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from testbed.ip import IPAddress
from testbed.podnet.network import Member, Route, Site


def direct_routes(members: Iterable[Member]) -> frozenset[Route]:
    """To all pods of each member by the member."""
    return frozenset(
        Route(pods, via)
        for member in members
        for pods, via in zip(member.pod_cidrs, member.addresses, strict=True)
    )


def direct_detours(
    site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
) -> frozenset[Route]:
    """To each pod address that is away by the member where it is; none on that node itself."""
    return frozenset(
        Route(ip_network(address), address_like(address, members[name].addresses))
        for address, name in away.items()
        if name != site.name and name in members
    )


def address_like(address: IPAddress, addresses: Iterable[IPAddress]) -> IPAddress:
    """The one of the same IP family."""
    return next(one for one in addresses if one.version == address.version)
