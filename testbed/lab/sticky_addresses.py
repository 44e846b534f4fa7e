"""`network.stickyIPs` in a running lab: addresses move with their workload's pods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from testbed.errors import OutOfTimeOrRoom
from testbed.ip import IPAddress, IPNetwork
from testbed.model.objects.pods import Pod
from testbed.podnet.addresses import Addresses, Pools
from testbed.podnet.inheritance import Lease, away, inherited, is_orphaned, workload_of
from testbed.store import Store


class StickyAddresses:
    """The addresses of all pods of a lab. `lead_away` is told which of them are where, if not at home."""

    def __init__(self, store: Store, lead_away: Callable[[Mapping[IPAddress, str]], None]) -> None:
        self._store = store
        self._lead_away = lead_away
        self._pools: dict[tuple[IPNetwork, ...], Pools] = {}
        self._home: dict[str, Pools] = {}
        """By node, also of nodes that are gone: an address may outlive its node elsewhere."""
        self._leases: dict[str, Lease] = {}
        """By pod uid: of pods that are there, and of those whose heirs are still to come."""
        self._in_use: dict[str, asyncio.Event] = {}
        """By the uid of the pod that has its addresses: set when they are free."""
        self._waits: dict[str, asyncio.Event] = {}
        """By the uid of a pod that waits for its predecessor's end."""
        self._wired: set[str] = set()

    def of_node(self, name: str, ranges: tuple[IPNetwork, ...]) -> _NodeShare:
        """What the runtime of a node asks whose pods' addresses are of these ranges."""
        self._home[name] = self._pools.setdefault(ranges, Pools(ranges))
        return _NodeShare(self, name)

    async def take(self, pod: Pod, node: str) -> Addresses:
        """The addresses of the pod's predecessor, once that is gone; else new ones of the node's range."""
        self._forget_orphans()
        uid, snapshot = pod.meta.uid, self._store.snapshot()
        heritage = inherited(pod, self._leases.values(), snapshot)
        if heritage is None:
            addresses, home = self.allocate(node), node
        else:
            addresses, home = heritage.addresses, heritage.home
            del self._leases[heritage.uid]
        meta, workload = pod.meta, workload_of(pod, snapshot)
        self._leases[uid] = Lease(uid, meta.namespace, meta.name, workload, addresses, home, node)
        if heritage is not None:
            await self._until_free(heritage.uid, uid)
        self._in_use[uid] = asyncio.Event()
        return addresses

    async def _until_free(self, before: str, uid: str) -> None:
        """Return when nobody before pod `uid` has its addresses."""
        ends = self._waits.pop(before, None)
        if before != uid:
            ends = self._in_use.get(before, ends)
        if ends is not None:
            self._waits[uid] = ends
            await ends.wait()
            del self._waits[uid]

    def wired(self, uid: str) -> None:
        """The pod has its addresses: every node routes them to it."""
        self._wired.add(uid)
        self.route()

    def give_back(self, uid: str) -> None:
        """The pod is gone: its addresses are its heir's."""
        self._wired.discard(uid)
        self.route()
        if (over := self._in_use.pop(uid, None)) is not None:
            over.set()

    def allocate(self, node: str) -> Addresses:
        """New addresses; where the range is used up, the longest kept ones without a pod."""
        pools = self._home[node]
        while True:
            try:
                return pools.allocate()
            except OutOfTimeOrRoom:
                kept = next((one for one in self._idle() if one.home == node), None)
                if kept is None:
                    raise
                self._give_up(kept)

    def release(self, node: str, addresses: Addresses) -> None:
        """Give addresses back that are no pod's."""
        self._home[node].release(addresses)

    def route(self) -> None:
        """Let every node know where the addresses are that are not at home."""
        self._lead_away(away(lease for uid, lease in self._leases.items() if uid in self._wired))

    def _forget_orphans(self) -> None:
        snapshot = self._store.snapshot()
        for lease in [one for one in self._idle() if is_orphaned(one, snapshot)]:
            self._give_up(lease)

    def _idle(self) -> Iterator[Lease]:
        """Of pods that are gone."""
        for uid, lease in self._leases.items():
            if uid not in self._in_use and uid not in self._waits:
                yield lease

    def _give_up(self, lease: Lease) -> None:
        del self._leases[lease.uid]
        self.release(lease.home, lease.addresses)


class _NodeShare:
    """One node's part of it (a `PodAddresses`)."""

    def __init__(self, whole: StickyAddresses, node: str) -> None:
        self._whole = whole
        self._node = node

    async def take(self, pod: Pod) -> Addresses:
        return await self._whole.take(pod, self._node)

    def wired(self, pod_uid: str) -> None:
        self._whole.wired(pod_uid)

    def give_back(self, pod_uid: str, addresses: Addresses) -> None:
        self._whole.give_back(pod_uid)

    def take_more(self) -> Addresses:
        return self._whole.allocate(self._node)

    def release(self, addresses: Addresses) -> None:
        self._whole.release(self._node, addresses)
