"""Addresses for fake nodes that a client has made without any: from the top of the lab's networks downwards,
where its topology's own come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from testbed.ip import IPNetwork, family_of
from testbed.model.objects.nodes import Node


@dataclass(frozen=True, slots=True)
class Ranges:
    """The networks that nodes and their pods have addresses of, one per IP family, the primary one first."""

    nodes: tuple[IPNetwork, ...] = ()
    pods: tuple[IPNetwork, ...] = ()
    prefixes: tuple[int, ...] = ()
    """Of a node's own range of pods, one for each of `pods`."""


def completed(nodes: Sequence[Node], others: Iterable[Node], ranges: Ranges) -> list[Node]:
    """Nodes with what they lack; without it where the networks are used up."""
    if all(node.internal_ips and node.pod_cidrs for node in nodes):
        return list(nodes)
    there = list(others)
    ips = [_free_ips(network, there) for network in ranges.nodes]
    blocks = [
        _free_blocks(network, prefix, there)
        for network, prefix in zip(ranges.pods, ranges.prefixes, strict=True)
    ]
    return [
        replace(
            node,
            internal_ips=node.internal_ips or _one_of_each(ips),
            pod_cidrs=node.pod_cidrs or _one_of_each(blocks),
        )
        for node in nodes
    ]


def _one_of_each(free: Iterable[Iterator[str]]) -> tuple[str, ...]:
    found = [next(one, "") for one in free]
    return tuple(found) if all(found) else ()


def _free_ips(network: IPNetwork, nodes: Iterable[Node]) -> Iterator[str]:
    """Of the lower half, which is the nodes'."""
    used = {ip for node in nodes for ip in node.internal_ips}
    for index in range(network.num_addresses // 2 - 1, 1, -1):
        if (ip := str(network[index])) not in used:
            yield ip


def _free_blocks(network: IPNetwork, prefix: int, nodes: Iterable[Node]) -> Iterator[str]:
    size = 2 ** (network.max_prefixlen - prefix)
    first = int(network.network_address)
    used: set[int] = set()
    for node in nodes:
        for cidr in node.pod_cidrs:
            if family_of(cidr) == network.version:
                taken = ip_network(cidr)
                begin = int(taken.network_address) - first
                used.update(range(begin // size, (begin + taken.num_addresses - 1) // size + 1))
    for block in range(network.num_addresses // size - 1, -1, -1):
        if block not in used:
            yield f"{ip_address(first + block * size)}/{prefix}"
