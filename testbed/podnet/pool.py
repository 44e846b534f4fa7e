"""Addresses of one node's pods, handed out in turn as CNI's host-local does."""

from __future__ import annotations

from testbed.errors import OutOfTimeOrRoom
from testbed.ip import IPAddress, IPNetwork


class AddressPool:
    """Usable addresses of `network` but the first (the node's own by convention), each to one owner at a time.

    A freed address is used again only after all others: an old connection does not meet a new pod.
    """

    def __init__(self, network: IPNetwork) -> None:
        self._network = network
        self._address = type(network.network_address)
        self._first = int(network.network_address) + 2
        self._last = int(network.broadcast_address) - 1
        self._next = self._first
        self._used: set[int] = set()

    def allocate(self) -> IPAddress:
        """The next free address. Raises OutOfTimeOrRoom when all are in use."""
        size = self._last - self._first + 1
        for step in range(size):
            candidate = self._first + (self._next - self._first + step) % size
            if candidate not in self._used:
                self._used.add(candidate)
                self._next = candidate + 1
                return self._address(candidate)
        # As CNI's host-local has it, in front of what there is to know more.
        first, last = self._address(self._first), self._address(self._last)
        raise OutOfTimeOrRoom(
            f"no IP addresses available in range set: {first}-{last}: "
            f"all {max(size, 0)} pod addresses of {self._network} are in use",
            "a larger network.podCIDR gives each node more",
        )

    def release(self, address: IPAddress) -> None:
        """Give an address back; giving back a free one does nothing."""
        self._used.discard(int(address))
