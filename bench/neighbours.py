"""Services that come, change and go beside one that nothing is done to: the states of a run, in order.

Pure: what is drawn depends on the seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.soak_verdict import Offer
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import Service, ServicePort

NEIGHBOURS = 12
AT_ONCE = 4
"""How many of them change in a round, at most."""
_POD_PORT = 8080
_FIRST_NODE_PORT = 30_100
_PORTS = (80, 81)
_PRESENCE = 0.8
"""How often a neighbour that is drawn anew is there."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A service as it is for some rounds. `pods` may be none: its clients are refused then."""

    number: int
    protocol: str
    port: int
    node_port: bool
    sticky: bool
    local: bool
    """externalTrafficPolicy Local."""
    pods: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"svc-{self.number}"


State = tuple[Neighbour, ...]
"""Those that are there."""


def rounds(pods: Sequence[str], count: int, crowd: int, seed: int) -> Iterator[State]:
    """So many states, each unlike the one before. Half-way a crowd of services comes, and goes with the
    next round.
    """
    chance = random.Random(f"neighbours {seed}")
    known: dict[int, Neighbour | None] = {
        number: _drawn(number, pods, chance) for number in range(NEIGHBOURS)
    }
    before = _there(known)
    for index in range(count):
        state = before
        while state == before:
            for number in chance.sample(range(NEIGHBOURS), chance.randint(1, AT_ONCE)):
                known[number] = _drawn(number, pods, chance)
            state = _there(known)
        before = state
        yield (*state, *_crowd(pods, crowd)) if index == count // 2 else state


def _there(known: Mapping[int, Neighbour | None]) -> State:
    return tuple([one for one in known.values() if one])


def _drawn(number: int, pods: Sequence[str], chance: random.Random) -> Neighbour | None:
    """A neighbour's next state; None: it is away."""
    there = chance.random() < _PRESENCE
    node_port = chance.random() < 0.5
    found = Neighbour(
        number,
        "UDP" if number % 2 else "TCP",
        chance.choice(_PORTS),
        node_port,
        sticky=chance.random() < 0.3,
        local=node_port and chance.random() < 0.5,
        pods=tuple([pod for pod in pods if chance.random() < 0.5]),
    )
    return found if there else None


def _crowd(pods: Sequence[str], size: int) -> State:
    first = NEIGHBOURS
    return tuple(
        Neighbour(number, "TCP", 80, False, sticky=False, local=False, pods=tuple(pods[:3]))
        for number in range(first, first + size)
    )


def objects(state: State, pods: Mapping[str, Offer]) -> list[Object]:
    """The services and their endpoints."""
    return [item for one in state for item in (_service(one), _slice(one, pods))]


def _service(one: Neighbour) -> Service:
    port = ServicePort(
        one.port,
        protocol=one.protocol,
        target_port=_POD_PORT,
        node_port=_FIRST_NODE_PORT + one.number if one.node_port else 0,
    )
    return Service(
        ObjectMeta(one.name, "default"),
        (port,),
        type="NodePort" if one.node_port else "ClusterIP",
        cluster_ips=(cluster_ip(one.number),),
        session_affinity="ClientIP" if one.sticky else "None",
        external_traffic_policy="Local" if one.local else "Cluster",
    )


def _slice(one: Neighbour, pods: Mapping[str, Offer]) -> EndpointSlice:
    meta = ObjectMeta(f"{one.name}-a", "default", labels={SERVICE_NAME_LABEL: one.name})
    endpoints = tuple(Endpoint((pods[pod].ip,), node_name=pods[pod].node) for pod in one.pods)
    return EndpointSlice(meta, endpoints, (EndpointPort(_POD_PORT, "", one.protocol),))


def cluster_ip(number: int) -> str:
    """Of a neighbour, outside of the range that addresses are drawn from first."""
    return f"10.96.{200 + number // 250}.{number % 250 + 1}"
