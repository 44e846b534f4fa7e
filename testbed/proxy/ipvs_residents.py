"""What is some node's own in IPVS mode, by node: fifty nodes are not each to look through all service ports."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.ipvs_layers import IPSET, Item, Touched, items_of
from testbed.proxy.ipvs_services import Site, Style, everybody, loop_back, node_port_part
from testbed.proxy.table import Entries


class Residents:
    """The endpoints of some service ports by their nodes; sorted out when somebody asks."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._on: dict[str, list[tuple[str, ServiceEndpoint]]] | None = None

    def items(self, style: Style, site: Site) -> Iterator[Item]:
        """What the service ports need on one node beside what they need on all: each one's `own_part`."""
        for entry in self._entries:
            if entry.node_port:
                yield from items_of(node_port_part(entry, style, site))
        if self._on is None:
            self._on = _by_node(self._entries)
        for protocol, endpoint in self._on.get(site.node, ()):
            key, lines = loop_back(protocol, endpoint, style)
            yield Touched(IPSET, key), lines


def _by_node(entries: Entries) -> dict[str, list[tuple[str, ServiceEndpoint]]]:
    found: dict[str, list[tuple[str, ServiceEndpoint]]] = {}
    for entry in entries:
        protocol = entry.protocol
        for endpoint in everybody(entry):
            found.setdefault(endpoint.node, []).append((protocol, endpoint))
    return found
