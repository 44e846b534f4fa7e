"""Who has which cluster address and node port, kept up as the store changes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from ipaddress import ip_network

from testbed.apiserver.service_allocation import Pool
from testbed.ip import IPNetwork
from testbed.model.allocation import Taken
from testbed.model.documents import IPAddress, ServiceCIDR
from testbed.model.ip_addresses import parent_of
from testbed.model.objects.services import Service
from testbed.shared_map import SharedMap
from testbed.store import Key, Snapshot


class Ledger:
    """Of one store. `service_cidrs` are the ranges where no ServiceCIDR object says any."""

    def __init__(self, service_cidrs: Sequence[str]) -> None:
        self._cidrs = tuple(map(ip_network, service_cidrs))
        self._services: SharedMap[Key, Service] = SharedMap()
        self._addresses: SharedMap[Key, IPAddress] = SharedMap()
        self._taken = Taken({}, {})
        self._claimed: dict[str, str] = {}
        """Addresses that IPAddress objects stand for, and whose they are."""

    def pool(self, snapshot: Snapshot) -> Pool:
        """What a service may have in this state."""
        self._count(snapshot)
        addresses = ChainMap(self._taken.addresses, self._claimed)
        return Pool(Taken(addresses, self._taken.node_ports), self._ranges(snapshot))

    def _count(self, snapshot: Snapshot) -> None:
        services, addresses = snapshot.of(Service), snapshot.of(IPAddress)
        changed = services.changed_since(self._services).values()
        for before, _ in changed:
            if before is not None:
                self._taken.remove(before)
        for _, now in changed:
            if now is not None:
                self._taken.add(now)
        for (_, ip), (_, item) in addresses.changed_since(self._addresses).items():
            self._claimed.pop(ip, None)
            if item is not None:
                self._claimed[ip] = "/".join(parent_of(item))
        self._services, self._addresses = services, addresses

    def _ranges(self, snapshot: Snapshot) -> tuple[IPNetwork, ...]:
        found = [
            ip_network(cidr)
            for item in snapshot.list(ServiceCIDR)
            if item.meta.deletion_s is None
            for cidr in item.body.get("spec", {}).get("cidrs", ())
        ]
        return tuple(dict.fromkeys([*self._cidrs, *found]))
