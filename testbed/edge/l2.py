"""Which node answers for which address: MetalLB's choice, which every speaker makes for itself.

Source: MetalLB, speaker/layer2_controller.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from testbed.edge.balanced import Balanced


@dataclass(frozen=True, slots=True)
class Candidates:
    """A service's addresses, and the nodes of which one is to answer for them, if their speakers live."""

    key: str
    addresses: tuple[str, ...]
    nodes: tuple[str, ...]

    def to_json(self) -> list[Any]:
        """For a speaker's process."""
        return [self.key, list(self.addresses), list(self.nodes)]

    @staticmethod
    def from_json(row: list[Any]) -> Candidates:
        return Candidates(row[0], tuple(row[1]), tuple(row[2]))


def candidates(services: Iterable[Balanced]) -> tuple[Candidates, ...]:
    """Of all services that somebody can serve."""
    return tuple(
        Candidates(one.key, tuple(map(str, one.addresses)), one.nodes)
        for one in services
        if one.nodes
    )


def announcer(service: Candidates, members: Collection[str]) -> str | None:
    """The node that answers for all of a service's addresses: the first by a hash of its name and of the first
    address, so that an address moves only when its node goes or a better one comes.
    """
    nodes = (node for node in service.nodes if node in members)
    return min(nodes, key=lambda node: _rank(node, service.addresses[0]), default=None)


def answered_by(
    node: str, services: Iterable[Candidates], members: Collection[str]
) -> dict[str, str]:
    """The addresses that a node answers for, each with a service that has it."""
    return {
        address: service.key
        for service in services
        if announcer(service, members) == node
        for address in service.addresses
    }


def _rank(node: str, address: str) -> bytes:
    return sha256(f"{node}#{address}".encode()).digest()
