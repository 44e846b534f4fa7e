"""Where a runtime gets the addresses of its node's pods from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from testbed.errors import OutOfTimeOrRoom
from testbed.ip import IPAddress, IPNetwork
from testbed.model.objects.pods import Pod
from testbed.podnet.pool import AddressPool

Addresses = tuple[IPAddress, ...]
"""One per IP family, the primary one first."""


class PodAddresses(Protocol):
    """One node's. `take` and `take_more` raise OutOfTimeOrRoom when all are in use."""

    async def take(self, pod: Pod) -> Addresses:
        """The addresses of a pod that is to be wired; may wait until they are free."""

    def wired(self, pod_uid: str) -> None:
        """The pod has its addresses now."""

    def give_back(self, pod_uid: str, addresses: Addresses) -> None:
        """The pod is gone."""

    def take_more(self) -> Addresses:
        """Further addresses, of nobody in particular."""

    def release(self, addresses: Addresses) -> None:
        """Give back what `take_more` gave."""


class Pools:
    """A pool for each of a node's pod ranges."""

    def __init__(self, networks: Iterable[IPNetwork]) -> None:
        self._pools = tuple(map(AddressPool, networks))

    def allocate(self) -> Addresses:
        """An address of each IP family. Raises OutOfTimeOrRoom, and then none is taken."""
        taken: list[IPAddress] = []
        try:
            for pool in self._pools:
                taken.append(pool.allocate())
        except OutOfTimeOrRoom:
            self.release(tuple(taken))
            raise
        return tuple(taken)

    def release(self, addresses: Addresses) -> None:
        """Give addresses back, in the order of the families."""
        for pool, address in zip(self._pools, addresses, strict=False):
            pool.release(address)


class OwnAddresses:
    """As Kubernetes has it: a new pod gets a new address, of its node's range (a `PodAddresses`)."""

    def __init__(self, networks: Iterable[IPNetwork]) -> None:
        self._pools = Pools(networks)
        self.take_more = self._pools.allocate
        self.release = self._pools.release

    async def take(self, pod: Pod) -> Addresses:
        return self._pools.allocate()

    def wired(self, pod_uid: str) -> None:
        return

    def give_back(self, pod_uid: str, addresses: Addresses) -> None:
        self._pools.release(addresses)
