"""Which endpoint a connection gets in the userspace proxy: the balancer's own decision, and stickiness.

A balancer of your own is a class like `RoundRobin` here, found by its name in the entry-point group
`testbed.balancers`; docs/your-own-balancer.md has the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from testbed.errors import TestbedError

T = TypeVar("T")
ENTRY_POINTS = "testbed.balancers"
DEFAULT = "roundrobin"


class Candidate(NamedTuple):
    """An endpoint that may be picked now."""

    address: str
    """`ip:port`."""
    connections: int
    """Open through this node's proxy, for this service port."""
    load: float | None
    """What its server last said of itself; None: nothing (yet)."""


class Chance(Protocol):
    """What a balancer may ask of a `random.Random`."""

    def random(self) -> float: ...
    def choice(self, seq: Sequence[T], /) -> T: ...
    def sample(self, population: Sequence[T], k: int) -> list[T]: ...
    def shuffle(self, x: MutableSequence[Any], /) -> None: ...


class Balancer(Protocol):
    """One for each service port of a node.

    Where a class has `wants_load = True`, every endpoint is asked for its load over HTTP
    (`proxy.userspace.loadPath`, every `loadPeriod`).
    """

    def pick(self, candidates: Sequence[Candidate], client: str) -> Candidate:
        """One of the candidates (at least one, in order of their addresses) for a client's address."""


Make = Callable[[Chance], Balancer]


class RoundRobin:
    """kube-proxy's own: in turn, in an order that is shuffled whenever the endpoints change."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._known: list[str] = []
        self._order: list[int] = []
        self._next = 0

    def pick(self, candidates: Sequence[Candidate], client: str) -> Candidate:
        addresses = [candidate.address for candidate in candidates]
        if addresses != self._known:
            self._known, self._next = addresses, 0
            self._order = list(range(len(addresses)))
            self._chance.shuffle(self._order)
        picked = candidates[self._order[self._next]]
        self._next = (self._next + 1) % len(self._order)
        return picked


class Random:
    """Each endpoint with the same probability, as the iptables mode picks."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def pick(self, candidates: Sequence[Candidate], client: str) -> Candidate:
        return self._chance.choice(candidates)


BUILT_IN: Mapping[str, Make] = {DEFAULT: RoundRobin, "random": Random}


class Sticky(NamedTuple):
    """The endpoint that a client keeps, and when it last came."""

    endpoint: str
    used_s: float


class Picker:
    """The state of one listener: its endpoints, their connections and loads, who sticks to whom."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._endpoints: tuple[str, ...] = ()
        self._affinity_s = 0
        self._sticky: dict[str, Sticky] = {}
        self._connections: dict[str, int] = {}

    def set(self, endpoints: tuple[str, ...], affinity_s: int) -> None:
        """What may be picked from now on; a client whose endpoint is gone gets another one."""
        self._endpoints, self._affinity_s = endpoints, affinity_s
        self._sticky = {
            client: kept
            for client, kept in self._sticky.items()
            if affinity_s and kept.endpoint in endpoints
        }

    def pick(
        self, client: str, now_s: float, loads: Mapping[str, float], *, again: bool = False
    ) -> str | None:
        """An endpoint for a client; None: there is none. Raises what the balancer raises, and TestbedError
        for a pick that is no candidate: the process ends.

        `again`: the endpoint picked before did not answer, so that sticking to it would not help.
        """
        if not self._endpoints:
            return None
        kept = self._sticky.get(client)
        # Whole seconds, as kube-proxy counted them.
        if kept and not again and int(now_s - kept.used_s) < self._affinity_s:
            endpoint = kept.endpoint
        else:
            open_now, load = self._connections.get, loads.get
            candidates = [Candidate(one, open_now(one, 0), load(one)) for one in self._endpoints]
            endpoint = self._balancer.pick(candidates, client).address
            if endpoint not in self._endpoints:
                raise TestbedError(
                    f"{type(self._balancer).__name__}.pick returned {endpoint!r}, which is no candidate"
                )
        if self._affinity_s:
            self._sticky[client] = Sticky(endpoint, now_s)
        return endpoint

    def opened(self, endpoint: str) -> None:
        """A connection to it, or an attempt at one, has begun."""
        self._connections[endpoint] = self._connections.get(endpoint, 0) + 1

    def closed(self, endpoint: str) -> None:
        """It has ended."""
        left = self._connections[endpoint] - 1
        if left:
            self._connections[endpoint] = left
        else:
            del self._connections[endpoint]
