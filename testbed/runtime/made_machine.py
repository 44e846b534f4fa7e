"""A machine of the underlay that is there: what its namespace has, and what differs from what it should."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.fabric.machine import End, Interface, Machine
from testbed.fabric.plan import link_local
from testbed.ip import IPInterface, IPNetwork
from testbed.kernel import addresses, links, netlink
from testbed.kernel.multipath import Hop, no_route, shared_route

_FIRST_PORT_INDEX = 100
"""Of a switch's ports."""
Changes = tuple[list[netlink.Message], list[netlink.Message]]
"""What to take back, which may be gone already, and then what to set."""


@dataclass(slots=True)
class MadeMachine:
    """A machine that is there, and what its namespace has."""

    machine: Machine
    namespace: int
    indices: dict[str, int] = field(default_factory=dict)
    """Interface -> ifindex, of those that are wired."""
    next_port: int = _FIRST_PORT_INDEX
    down: set[str] = field(default_factory=set)
    """Interfaces that are switched off here."""
    addresses: dict[str, tuple[IPInterface, ...]] = field(default_factory=dict)
    routes: dict[IPNetwork, tuple[Hop, ...]] = field(default_factory=dict)
    """No hops: the kernel may have taken some back."""

    def lost(self, interface: str) -> None:
        """The interface has gone down, or away: so have routes by it, and its link-local address."""
        have = self.addresses.get(interface, ())
        self.addresses[interface] = tuple(one for one in have if not one.is_link_local)
        self._doubt_routes(self.indices[interface])

    def _doubt_routes(self, index: int) -> None:
        for destination, hops in self.routes.items():
            if any(hop[0] == index for hop in hops):
                self.routes[destination] = ()

    def numbered(self, end: End) -> int:
        """The ifindex of an end that is to be: a machine's follows from its name, a switch counts its ports."""
        own = next((i.index for i in self.machine.interfaces if i.name == end.interface), None)
        if own is None:
            own = self.next_port
            self.next_port += 1
        self.indices[end.interface] = own
        return own

    def unwired(self, interface: str) -> None:
        """The interface is no more."""
        self.lost(interface)
        self.addresses.pop(interface, None)
        self.down.discard(interface)
        del self.indices[interface]

    def changes(self) -> Changes:
        """What makes addresses and routes as wanted; they are taken for done."""
        gone: list[netlink.Message] = []
        new: list[netlink.Message] = []
        for one in self.machine.interfaces:
            if one.name not in self.indices or one.name in self.down:
                continue  # its cable is still to come, or to come back
            want, have = _addresses(one), self.addresses.get(one.name)
            if have is None:
                new.append(links.link_up(one.index))
            stale = [old for old in have or () if old not in want]
            if stale:  # what was reached from them is reached no more
                self._doubt_routes(one.index)
            gone += [addresses.address(old, one.index, delete=True) for old in stale]
            new += [addresses.address(own, one.index) for own in want if own not in (have or ())]
            self.addresses[one.name] = want
        withdrawn, added = self._routes()
        return gone + withdrawn, new + added

    def _routes(self) -> Changes:
        want: dict[IPNetwork, tuple[Hop, ...]] = {}
        for route in self.machine.routes:
            if route.interface in self.indices and route.interface not in self.down:
                hop = self.indices[route.interface], route.via
                want[route.destination] = (*want.get(route.destination, ()), hop)
        have, self.routes = self.routes, want
        gone = [no_route(destination) for destination in have if destination not in want]
        new = [shared_route(one, hops) for one, hops in want.items() if have.get(one) != hops]
        return gone, new


def _addresses(interface: Interface) -> tuple[IPInterface, ...]:
    """Those of the plan, and where there is IPv6 the one that neighbours are asked from."""
    ipv6 = any(address.version == 6 for address in interface.addresses)
    return (*interface.addresses, *([link_local(interface.mac)] if ipv6 and interface.mac else []))
