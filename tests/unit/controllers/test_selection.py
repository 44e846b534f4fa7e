"""A controller that remembers says what one says that has never been asked before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.controllers.endpoint_slices import reconcile, remembering
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.selection import MANAGED_BY_LABEL, Selection
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Create, Delete, Key, Store, Update

from .cluster import node, pod, running, service, stored

PODS = ("p0", "p1", "p2")
SERVICES = ("s0", "s1")
APPS = ("a", "b")
DEEDS = ("pod", "unready", "delete pod", "service", "no selector", "delete service", "zone")
DEEDS_OF_USERS = ("delete slice", "disown slice")
STEPS = st.lists(
    st.tuples(
        st.sampled_from((*DEEDS, *DEEDS_OF_USERS, "write", "write", "write")),
        st.integers(0, 2),
        st.sampled_from(APPS),
    ),
    max_size=25,
)


def put(store: Store, item: Object) -> None:
    key = (item.meta.namespace, item.meta.name)
    known = key in store.snapshot().of(type(item))
    store.apply([Update(item) if known else Create(item)])


def take(store: Store, kind: type[Object], key: Key) -> None:
    if key in store.snapshot().of(kind):
        store.apply([Delete(kind.kind, *key)])


def done(store: Store, what: str, number: int, app: str) -> None:
    """One step of a history, as far as it is possible."""
    name = SERVICES[number % len(SERVICES)]
    slices = store.list(EndpointSlice)
    if what in {"pod", "unready"}:
        bare = pod(PODS[number], labels={"app": app, "tier": "x"})
        put(store, running(bare, f"10.244.1.{number + 2}", ready=what == "pod"))
    elif what == "delete pod":
        take(store, Pod, ("default", PODS[number]))
    elif what in {"service", "no selector"}:
        selector = {"app": app} if what == "service" else {}
        put(store, service(name, selector=selector))
    elif what == "delete service":
        take(store, Service, ("default", name))
    elif what == "zone":
        put(store, node("n1", {ZONE_LABEL: app}))
    elif what == "delete slice" and slices:
        take(store, EndpointSlice, ("default", slices[number % len(slices)].meta.name))
    elif what == "disown slice" and slices:
        item = slices[number % len(slices)]
        labels = {
            name: value for name, value in item.meta.labels.items() if name != MANAGED_BY_LABEL
        }
        store.apply([Update(with_meta(item, labels=labels))])


@given(STEPS)
def test_what_is_remembered_makes_no_difference(history: list[tuple[str, int, str]]) -> None:
    store, asked = Store(lambda: 0.0), remembering()
    for what, number, app in history:
        done(store, what, number, app)
        decided = asked(store.snapshot(), 0.0)
        assert decided == reconcile(store.snapshot(), 0.0)
        if what == "write":
            apply_fresh(store, decided[0])


@pytest.fixture
def crowd() -> Store:
    """Twenty services, each with a pod of its own, in order."""
    objects: list[Object] = [node("n1")]
    for number in range(20):
        labels = {"app": f"app-{number}"}
        objects.append(running(pod(f"p{number}", labels), f"10.244.1.{number + 2}"))
        objects.append(service(f"s{number}", selector=labels))
    store = stored(*objects)
    store.apply(reconcile(store.snapshot(), 0.0)[0])
    return store


def touched(store: Store, item: Object) -> set[str]:
    """Services that are looked at again after a write."""
    known, _ = Selection.nothing().following(store.snapshot())
    put(store, item)
    return {name for _, name in known.following(store.snapshot())[1]}


def test_a_pod_concerns_the_services_that_select_it(crowd: Store) -> None:
    found = crowd.get(Pod, "default", "p7")
    unready = replace(found, status=replace(found.status, ready=False))
    assert touched(crowd, unready) == {"s7"}
    moved = with_meta(unready, labels={"app": "app-8"}, resource_version=0)
    assert touched(crowd, moved) == {"s7", "s8"}


def test_a_nodes_zone_concerns_all_services_and_its_condition_none(crowd: Store) -> None:
    found = crowd.get(Node, "", "n1")
    assert touched(crowd, replace(found, ready=False)) == set()
    moved = with_meta(found, labels={ZONE_LABEL: "a"}, resource_version=0)
    assert len(touched(crowd, moved)) == 20
