"""Which service has which address of which pool: MetalLB's allocator (internal/allocator/allocator.go)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from testbed.edge.requests import Refused, Request
from testbed.ip import FAMILY_NAMES, IPAddress
from testbed.model.load_balancer import Pool

_BUGGY = frozenset({0, 255})
"""Last numbers of IPv4 addresses that some old home routers take for a broadcast (Pool.avoid_buggy_ips)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a service has."""

    addresses: tuple[IPAddress, ...]
    pool: str


class Allocator:
    """The pools of a cluster and who has what of them. What has been given nobody gives back: the next one
    begins with what services have by then.
    """

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools
        self._users: dict[IPAddress, list[Request]] = {}
        self._unused: dict[tuple[str, int], _Unused] = {}
        """By pool and family."""

    def pool_of(self, address: IPAddress) -> str:
        """The name of the pool that it is of; "" where it is of none."""
        return next((name for name, pool in self._pools.items() if _holds(pool, address)), "")

    def keep(self, request: Request, addresses: tuple[IPAddress, ...]) -> Given:
        """What a service has already, as long as pools and requests allow it. Raises Refused."""
        if request.addresses and set(request.addresses) != set(addresses):
            raise Refused("another address is asked for")
        if not self._fits(request, addresses):
            raise Refused("its IP families have changed")
        return self._assign(request, addresses)

    def allocate(self, request: Request) -> Given:
        """Addresses for a service that has none. Raises Refused that says why there are none."""
        if request.addresses:
            return self._assign(request, request.addresses)
        if request.pool and request.pool not in self._pools:
            raise Refused(f'unknown pool "{request.pool}"')
        pools = [request.pool] if request.pool else self._automatic()
        for families in _in_turn(request):
            for name in pools:
                found = self._free(request, name, families)
                if found is not None:
                    return self._assign(request, found)
        if request.pool:
            told = " and ".join(FAMILY_NAMES[one] for one in request.families)
            raise Refused(f'no available IPs in pool "{request.pool}" for {told} IPFamily')
        raise Refused("no available IPs")

    def _automatic(self) -> list[str]:
        return [name for name, pool in self._pools.items() if pool.auto_assign]

    def _fits(self, request: Request, addresses: tuple[IPAddress, ...]) -> bool:
        families = tuple(one.version for one in addresses)
        return sorted(families) == sorted(request.families) or (
            request.any_family and len(families) == 1 and families[0] in request.families
        )

    def _assign(self, request: Request, addresses: tuple[IPAddress, ...]) -> Given:
        pools = {self.pool_of(address) for address in addresses}
        if "" in pools:
            told = ", ".join(str(one) for one in addresses if not self.pool_of(one))
            raise Refused(f"{told} is not allowed in config: no pool has it")
        if len(pools) > 1:
            raise Refused(f"its addresses are of several pools: {', '.join(sorted(pools))}")
        pool = pools.pop()
        if request.pool and request.pool != pool:
            told = ", ".join(map(str, addresses))
            raise Refused(f"{told} is not compatible with requested address pool {request.pool}")
        for address in addresses:
            if trouble := self._taken(request, address):
                raise Refused(trouble)
        for address in addresses:
            self._users.setdefault(address, []).append(request)
        return Given(addresses, pool)

    def _taken(self, request: Request, address: IPAddress) -> str:
        """Why a service may not have an address beside those who have it; "" where it may."""
        for other in self._users.get(address, ()):
            if not request.sharing_key or request.sharing_key != other.sharing_key:
                return f"can't share {address}: address also in use by {other.key}"
            if request.backends != other.backends:
                return f"can't share {address} with {other.key}: its backends are others"
            for protocol, port in sorted(request.ports & other.ports):
                return f"port {protocol}/{port} of {address} is already in use by {other.key}"
        return ""

    def _free(
        self, request: Request, pool: str, families: tuple[int, ...]
    ) -> tuple[IPAddress, ...] | None:
        found = []
        for family in families:
            address = self._first(request, pool, family)
            if address is None:
                return None
            found.append(address)
        return tuple(found)

    def _first(self, request: Request, pool: str, family: int) -> IPAddress | None:
        """The first address of a pool that a service may have; None: there is none."""
        if request.sharing_key:
            every = _addresses(self._pools[pool], family)
            return next((one for one in every if not self._taken(request, one)), None)
        if (pool, family) not in self._unused:
            every = _addresses(self._pools[pool], family)
            self._unused[pool, family] = _Unused(every, self._users)
        return self._unused[pool, family].first()


class _Unused:
    """The addresses that nobody has: thousands of services may ask for theirs at once."""

    def __init__(self, addresses: Iterator[IPAddress], used: Collection[IPAddress]) -> None:
        self._used = used
        self._rest = addresses
        self._at = next(addresses, None)

    def first(self) -> IPAddress | None:
        while self._at in self._used:
            self._at = next(self._rest, None)
        return self._at


def _in_turn(request: Request) -> Iterator[tuple[int, ...]]:
    yield request.families
    if request.any_family and len(request.families) > 1:
        yield from ((family,) for family in request.families)


def _holds(pool: Pool, address: IPAddress) -> bool:
    return any(address in one for one in pool.addresses) and not _is_left_out(pool, address)


def _addresses(pool: Pool, family: int) -> Iterator[IPAddress]:
    ranges = (one for one in pool.addresses if one.family == family)
    return (one for one in chain.from_iterable(ranges) if not _is_left_out(pool, one))


def _is_left_out(pool: Pool, address: IPAddress) -> bool:
    return pool.avoid_buggy_ips and address.version == 4 and int(address) % 256 in _BUGGY
