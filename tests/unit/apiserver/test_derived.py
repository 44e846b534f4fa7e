"""What is derived for proxies of labs that do not store it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.derived import Derived
from testbed.apiserver.event_forms import inward, outward
from testbed.apiserver.feed import Feed
from testbed.apiserver.presented import Face
from testbed.model.documents import Namespace
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service
from testbed.store import Create, Delete, Store, Update
from tests.addresses import PLAN

FACE = Face(("10.96.0.0/16",), 0.0)
PODS = sorted(PLAN.pods.values())[:4]


def service(name: str) -> Service:
    return Service(ObjectMeta(name, "shop"), ip_families=("IPv4",))


def slice_of(name: str, owner: str, *ips: str, ready: bool = True) -> EndpointSlice:
    meta = ObjectMeta(name, "shop", labels={SERVICE_NAME_LABEL: owner})
    endpoints = tuple(Endpoint((ip,), ready=ready) for ip in ips)
    return EndpointSlice(meta, endpoints, (EndpointPort(8080, "http"),))


class Lab:
    """A store, and what is derived of it."""

    def __init__(self) -> None:
        self.store = Store(lambda: 1.0)
        self.feed = Feed(self.store, FACE, derive=True)
        self.store.watch(lambda changes: self.feed.add(changes) and None)
        self.feed.state("Endpoints")

    def told(self) -> list[tuple[str, str]]:
        """The changes of Endpoints so far."""
        found = self.feed.history("Endpoints").after(0) or []
        return [(one.change.type, one.change.object.meta.name) for one in found]

    def subsets(self, name: str) -> Any:
        found = self.feed.get("Endpoints", "shop", name)
        return None if found is None else found.meta.rest["subsets"]


def test_endpoints_come_and_go_with_slices_and_services() -> None:
    lab = Lab()
    lab.store.apply([Create(service("web"))])
    assert lab.told() == []
    lab.store.apply([Create(slice_of("web-a", "web", PODS[0]))])
    lab.store.apply([Update(slice_of("web-a", "web", PODS[0], ready=False))])
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert lab.subsets("web") == [{"notReadyAddresses": [{"ip": PODS[0]}], "ports": ports}]
    lab.store.apply([Update(replace(service("web"), external_ips=("198.51.100.1",)))])
    lab.store.apply([Delete("EndpointSlice", "shop", "web-a")])
    assert lab.told() == [("ADDED", "web"), ("MODIFIED", "web"), ("DELETED", "web")]
    assert lab.subsets("web") is None


def test_a_slice_that_changes_its_service_concerns_both() -> None:
    lab = Lab()
    lab.store.apply([Create(service("web")), Create(service("api"))])
    lab.store.apply([Create(slice_of("a", "web", PODS[0]))])
    lab.store.apply([Update(slice_of("a", "api", PODS[0]))])
    assert sorted(lab.told()[1:]) == [("ADDED", "api"), ("DELETED", "web")]


def test_nothing_is_derived_where_a_lab_stores_it() -> None:
    plain = Feed(Store(lambda: 1.0), FACE, derive=False)
    assert plain.state("ServiceCIDR").table == {}
    lab = Lab()
    assert ("", "kube-system") in lab.feed.state("Namespace").table
    lab.store.apply([Create(Namespace(ObjectMeta("default"))), Create(service("web"))])
    assert list(lab.feed.state("Namespace").table) == [("", "default")]
    assert [
        one.change.object.meta.name for one in lab.feed.history("Namespace").after(0) or []
    ] == ["default"]
    assert list(lab.feed.state("ServiceCIDR").table) == [("", "kubernetes")]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["service", "slice"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["a", "b"]),
        st.lists(st.sampled_from(PODS), unique=True, max_size=3),
        st.booleans(),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(STEPS)
def test_what_follows_changes_is_what_would_be_derived_anew(
    steps: list[tuple[str, str, str, list[str], bool]],
) -> None:
    lab = Lab()
    for kind, name, owner, ips, removes in steps:
        item: Service | EndpointSlice
        item = service(name) if kind == "service" else slice_of(name, owner, *ips)
        there = lab.store.snapshot().get(type(item), "shop", name) is not None
        if there and removes:
            lab.store.apply([Delete(item.kind, "shop", name)])
        else:
            lab.store.apply([Update(item) if there else Create(item)])
    anew = Derived(lab.store.snapshot(), FACE).tables["Endpoints"]
    now = lab.feed.state("Endpoints").table
    assert {key: item.meta.rest for key, item in now.items()} == {
        key: item.meta.rest for key, item in anew.items()
    }


def test_an_event_in_its_two_forms() -> None:
    core = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "creationTimestamp": "2026-11-21T18:00:01Z"},
        "involvedObject": {"name": "web-0"},
        "message": "gone",
        "count": 3,
        "firstTimestamp": "2026-11-21T18:00:00Z",
    }
    new = outward(core)
    assert (new["regarding"], new["note"], new["deprecatedCount"]) == ({"name": "web-0"}, "gone", 3)
    assert new["eventTime"] == core["firstTimestamp"]
    assert inward(new) == {**core, "eventTime": core["firstTimestamp"]}
