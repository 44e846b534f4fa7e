"""One changed endpoint costs what changed, however many services there are: counted in calls, not in time."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from testbed.controllers import endpoint_slices
from testbed.controllers.decision import Reconcile
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort
from testbed.proxy import stale
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.programme import Programme, next_programme
from testbed.proxy.ruleset import Backend, changed_chains
from testbed.store import Create, Store, Update
from tests.addresses import PLAN
from tests.flows import nodes
from tests.unit.proxy.states import CONFIG

FEW, MANY = 40, 2000
MORE = 1.2
"""Times as many calls: maps and transactions of more keys are a level or two deeper."""


def address(network: str, number: int) -> str:
    return f"{network}.{number // 250}.{number % 250 + 1}"


def services(count: int) -> list[Object]:
    return [
        Service(
            ObjectMeta(f"s{number}", "ns"),
            (ServicePort(80, target_port=8080), ServicePort(53, "dns", "UDP")),
            selector={"app": f"s{number}"},
            cluster_ips=(address("10.96", number),),
        )
        for number in range(count)
    ]


def slices(count: int) -> list[Object]:
    return [
        EndpointSlice(
            ObjectMeta(f"s{number}-a", "ns", labels={SERVICE_NAME_LABEL: f"s{number}"}),
            (Endpoint((address("10.244", number),), node_name="n1"),),
            (EndpointPort(8080), EndpointPort(53, "dns", "UDP")),
        )
        for number in range(count)
    ]


class Calls:
    """Counts the calls of Python functions while it is entered, of whatever they call in C as well."""

    def __enter__(self) -> Calls:
        self.count = 0
        sys.setprofile(self._one)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _one(self, frame: object, event: str, argument: object) -> None:
        self.count += event in {"call", "c_call"}


def stored(*objects: Object) -> Store:
    store = Store(lambda: 0.0)
    store.apply([Create(item) for item in objects])
    return store


def sync(backend: Backend, store: Store, before: Programme | None) -> Programme:
    """What a proxy loop decides in one sync."""
    after = next_programme(store.snapshot(), CONFIG, "n1", backend, before)
    if before is not None:
        assert backend.commands(before.rules, after.rules)
        changed_chains(before.rules, after.rules)
        assert stale.needs_look(before.table, after.table)
        if isinstance(backend, IpvsBackend):
            backend.lingering(before.rules, after.rules)
    return after


def calls_of_a_sync(backend: Backend, count: int) -> int:
    store = stored(*nodes(PLAN), *services(count), *slices(count))
    before = sync(backend, store, None)
    found = store.get(EndpointSlice, "ns", f"s{count // 2}-a")
    moved = replace(found, endpoints=(Endpoint(("10.245.0.1",), node_name="n2"),))
    with Calls() as calls:
        store.apply([Update(moved)])
        sync(backend, store, before)
    return calls.count


@pytest.mark.parametrize(
    "backend", [IpvsBackend("rr", "legacy"), NftablesBackend()], ids=lambda one: one.name
)
def test_a_sync_costs_what_changed(backend: Backend) -> None:
    few, many = (calls_of_a_sync(backend, count) for count in (FEW, MANY))
    assert many <= MORE * few


def calls_of_a_decision(count: int) -> int:
    pods = [
        Pod(
            ObjectMeta(f"s{number}-0", "ns", labels={"app": f"s{number}"}),
            PodSpec((), node_name="n1"),
            PodStatus("Running", (address("10.244", number),), ready=True),
        )
        for number in range(count)
    ]
    store = stored(*nodes(PLAN), *services(count), *pods)
    decide: Reconcile = endpoint_slices.remembering()
    for _ in range(2):
        store.apply(decide(store.snapshot(), 0.0)[0])
    pod = store.get(Pod, "ns", f"s{count // 2}-0")
    store.apply([Update(replace(pod, status=replace(pod.status, ready=False)))])
    with Calls() as calls:
        writes, _ = decide(store.snapshot(), 0.0)
    assert len(writes) == 1
    return calls.count


def test_a_changed_pod_costs_the_services_that_select_it() -> None:
    assert calls_of_a_decision(MANY) <= MORE * calls_of_a_decision(FEW)
