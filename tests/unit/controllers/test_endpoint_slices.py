"""Endpoint slices: who is in them, with which conditions and ports, and that they stay put."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.controllers.endpoint_slices import MANAGED_BY_LABEL, reconcile
from testbed.model.containers import Container, ContainerPort
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.nodes import ZONE_LABEL
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import HEADLESS_LABEL, Service, ServicePort
from testbed.store import Create, Delete, Store, Update

from .cluster import node, pod, running, service, stored


def settle(store: Store) -> int:
    """Apply what the controller says; returns how many writes that was. Then it must be quiet."""
    writes, wake_at_s = reconcile(store.snapshot(), 0.0)
    assert wake_at_s is None
    store.apply(writes)
    assert reconcile(store.snapshot(), 0.0) == ([], None)
    return len(writes)


def endpoints(store: Store) -> list[Endpoint]:
    return [found for item in store.list(EndpointSlice) for found in item.endpoints]


def many(count: int, first: int = 0) -> list[Pod]:
    return [
        running(pod(f"web-{index}"), f"10.244.{index // 250}.{index % 250}")
        for index in range(first, first + count)
    ]


def terminating(found: Pod) -> Pod:
    return with_meta(found, deletion_s=1.0)


SERVING = running(pod(), "10.244.1.2")
UNREADY = running(pod(), "10.244.1.2", ready=False)

CONDITIONS: list[tuple[str, Pod, bool, tuple[bool, bool, bool] | None]] = [
    # name, pod, publishNotReadyAddresses, (ready, serving, terminating)
    ("a ready pod", SERVING, False, (True, True, False)),
    ("a pod that is not ready is listed as such", UNREADY, False, (False, False, False)),
    ("a terminating pod may still serve", terminating(SERVING), False, (False, True, True)),
    ("a terminating pod that is not ready", terminating(UNREADY), False, (False, False, True)),
    ("not ready, but published", UNREADY, True, (True, False, False)),
    ("terminating, but published", terminating(SERVING), True, (True, True, True)),
    ("a pod without an address", pod(), False, None),
    ("a pod that has failed", running(pod(), "10.244.1.2", phase="Failed"), False, None),
    ("a pod that has succeeded", running(pod(), "10.244.1.2", phase="Succeeded"), False, None),
    ("a pod with another label", running(pod(labels={"app": "db"}), "10.244.1.2"), False, None),
]


HINTS: list[tuple[str, str, Pod, str, tuple[tuple[str, ...], tuple[str, ...]]]] = [
    # name, trafficDistribution, pod, its node's zone, (zones, nodes)
    ("without a preference there are none", "", SERVING, "a", ((), ())),
    ("same zone", "PreferSameZone", SERVING, "a", (("a",), ())),
    ("close is the same zone", "PreferClose", SERVING, "a", (("a",), ())),
    ("same node, and its zone for the others", "PreferSameNode", SERVING, "a", (("a",), ("n1",))),
    ("a node without a zone", "PreferSameZone", SERVING, "", ((), ())),
    ("same node, without a zone", "PreferSameNode", SERVING, "", ((), ("n1",))),
    ("a pod that is not ready", "PreferSameNode", UNREADY, "a", ((), ())),
    ("a terminating pod", "PreferSameZone", terminating(SERVING), "a", ((), ())),
]


@pytest.mark.parametrize(
    ("name", "distribution", "found", "zone", "expected"), HINTS, ids=[row[0] for row in HINTS]
)
def test_hints(
    name: str,
    distribution: str,
    found: Pod,
    zone: str,
    expected: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:
    labels = {ZONE_LABEL: zone} if zone else {}
    store = stored(node("n1", labels), service(traffic_distribution=distribution), found)
    settle(store)
    (only,) = endpoints(store)
    assert (only.for_zones, only.for_nodes) == expected


@pytest.mark.parametrize(
    ("name", "found", "publish", "expected"), CONDITIONS, ids=[row[0] for row in CONDITIONS]
)
def test_conditions(
    name: str, found: Pod, publish: bool, expected: tuple[bool, bool, bool] | None
) -> None:
    store = stored(service(publish_not_ready_addresses=publish), found)
    settle(store)
    seen = [(item.ready, item.serving, item.terminating) for item in endpoints(store)]
    assert seen == ([] if expected is None else [expected])


def test_an_endpoint_says_where_it_is_and_whose() -> None:
    store = stored(node("n1", {ZONE_LABEL: "b"}), service(labels={"team": "shop"}), SERVING)
    settle(store)
    uid = store.get(Pod, "default", "web-0").meta.uid
    target = TargetRef("default", "web-0", uid)
    assert endpoints(store) == [Endpoint(("10.244.1.2",), node_name="n1", zone="b", target=target)]
    (item,) = store.list(EndpointSlice)
    assert item.service == ("default", "web")
    assert item.meta.labels["team"] == "shop"
    assert item.meta.name.startswith("web-")
    assert item.meta.owner is not None


@pytest.mark.parametrize(
    ("hostname", "subdomain", "expected"),
    [
        ("rex", "web", "rex"),
        ("rex", "", ""),
        ("rex", "other", ""),
        ("", "web", ""),
    ],
)
def test_a_pod_has_a_name_under_the_service_that_is_its_subdomain(
    hostname: str, subdomain: str, expected: str
) -> None:
    spec = replace(SERVING.spec, hostname=hostname, subdomain=subdomain)
    store = stored(service(), replace(SERVING, spec=spec))
    settle(store)
    assert [found.hostname for found in endpoints(store)] == [expected]


def test_a_pod_in_another_namespace_is_no_endpoint() -> None:
    store = stored(service(), with_meta(SERVING, namespace="other"))
    settle(store)
    assert endpoints(store) == []


NAMED = Container("c", "echo", (ContainerPort(9000, "http"), ContainerPort(53, "dns", "UDP")))
PORTS: list[tuple[str, ServicePort, tuple[EndpointPort, ...]]] = [
    ("a number", ServicePort(80, target_port=8080), (EndpointPort(8080),)),
    ("without a target port: the port itself", ServicePort(80), (EndpointPort(80),)),
    (
        "a name is looked up in the pod's containers",
        ServicePort(80, "web", target_port="http"),
        (EndpointPort(9000, "web"),),
    ),
    ("a name must have the protocol, too", ServicePort(53, target_port="dns"), ()),
    (
        "UDP",
        ServicePort(53, protocol="UDP", target_port="dns"),
        (EndpointPort(53, protocol="UDP"),),
    ),
    ("a name that no container has", ServicePort(80, target_port="https"), ()),
]


@pytest.mark.parametrize(("name", "port", "expected"), PORTS, ids=[row[0] for row in PORTS])
def test_ports(name: str, port: ServicePort, expected: tuple[EndpointPort, ...]) -> None:
    found = running(pod(containers=(NAMED,)), "10.244.1.2")
    store = stored(service(ports=(port,)), found)
    settle(store)
    (item,) = store.list(EndpointSlice)
    assert item.ports == expected
    assert len(item.endpoints) == 1


def test_pods_whose_named_port_differs_are_in_different_slices() -> None:
    other = replace(NAMED, ports=(ContainerPort(9001, "http"),))
    store = stored(
        service(ports=(ServicePort(80, target_port="http"),)),
        running(pod("web-0", containers=(NAMED,)), "10.244.1.2"),
        running(pod("web-1", containers=(other,)), "10.244.1.3"),
    )
    settle(store)
    assert {item.ports[0].port for item in store.list(EndpointSlice)} == {9000, 9001}


WITHOUT_SLICES: list[tuple[str, dict[str, Any]]] = [
    ("a service without a selector", {"selector": {}}),
    ("an ExternalName service", {"type": "ExternalName", "external_name": "example.org"}),
]


@pytest.mark.parametrize(("name", "fields"), WITHOUT_SLICES, ids=[row[0] for row in WITHOUT_SLICES])
def test_services_that_get_no_slices(name: str, fields: dict[str, Any]) -> None:
    assert settle(stored(service(**fields), SERVING)) == 0


def test_a_headless_service_is_labelled_so() -> None:
    store = stored(service(cluster_ips=("None",)), SERVING)
    settle(store)
    assert HEADLESS_LABEL in store.list(EndpointSlice)[0].meta.labels


def test_a_service_without_endpoints_has_one_empty_slice() -> None:
    store = stored(service())
    settle(store)
    (item,) = store.list(EndpointSlice)
    assert item.endpoints == ()


def test_slices_hold_at_most_a_hundred() -> None:
    store = stored(service(), *many(250))
    settle(store)
    assert [len(item.endpoints) for item in store.list(EndpointSlice)] == [100, 100, 50]
    assert len({item.addresses for item in endpoints(store)}) == 250


def test_one_changed_pod_changes_one_slice() -> None:
    store = stored(service(), *many(250))
    settle(store)
    found = store.get(Pod, "default", "web-120")
    store.apply([Update(replace(found, status=replace(found.status, ready=False)))])
    assert settle(store) == 1
    assert [item.target.name for item in endpoints(store) if not item.ready and item.target] == [
        "web-120"
    ]


def test_a_new_pod_fills_the_fullest_slice_that_has_room() -> None:
    store = stored(service(), *many(250))
    settle(store)
    store.apply([Delete("Pod", "default", "web-5")])
    settle(store)
    store.apply([Create(item) for item in many(2, first=250)])
    assert settle(store) == 2
    assert [len(item.endpoints) for item in store.list(EndpointSlice)] == [100, 100, 51]


def test_an_emptied_slice_is_removed_and_the_last_one_kept() -> None:
    store = stored(service(), *many(150))
    settle(store)
    kept = store.list(EndpointSlice)[0].meta.name
    store.apply([Delete("Pod", "default", f"web-{index}") for index in range(100, 150)])
    settle(store)
    assert [item.meta.name for item in store.list(EndpointSlice)] == [kept]
    store.apply([Delete("Pod", "default", f"web-{index}") for index in range(100)])
    settle(store)
    assert [(item.meta.name, item.endpoints) for item in store.list(EndpointSlice)] == [(kept, ())]


def test_a_changed_target_port_turns_the_slices_over() -> None:
    store = stored(service(), *many(3))
    settle(store)
    found = store.get(Service, "default", "web")
    store.apply([Update(replace(found, ports=(ServicePort(80, target_port=9999),)))])
    assert settle(store) == 1
    (item,) = store.list(EndpointSlice)
    assert (item.ports[0].port, len(item.endpoints)) == (9999, 3)


def test_slices_go_with_their_service_and_foreign_ones_stay() -> None:
    foreign = EndpointSlice(
        ObjectMeta("by-hand", "default", labels={SERVICE_NAME_LABEL: "web"}),
        (Endpoint(("192.0.2.1",)),),
    )
    store = stored(service(), SERVING, foreign)
    settle(store)
    store.apply([Delete("Service", "default", "web")])
    settle(store)
    left = store.list(EndpointSlice)
    assert [item.meta.name for item in left] == ["by-hand"]
    assert MANAGED_BY_LABEL not in left[0].meta.labels


def test_a_replaced_pod_of_the_same_name_and_address_is_another_endpoint() -> None:
    store = stored(service(), SERVING)
    settle(store)
    store.apply([Delete("Pod", "default", "web-0"), Create(SERVING)])
    assert settle(store) == 1
    (item,) = endpoints(store)
    assert item.target is not None
    assert item.target.uid == store.get(Pod, "default", "web-0").meta.uid


def of_both_families(name: str, number: int) -> Pod:
    ips = (f"10.244.1.{number}", f"fd00:10:244:1::{number}")
    return running(pod(name), ips[0], pod_ips=ips)


def addresses_by_type(store: Store) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in store.list(EndpointSlice):
        addresses = {ip for each in item.endpoints for ip in each.addresses}
        found.setdefault(item.address_type, set()).update(addresses)
    return found


DUAL = [of_both_families("web-0", 2), of_both_families("web-1", 3)]
FOUR, SIX = {"10.244.1.2", "10.244.1.3"}, {"fd00:10:244:1::2", "fd00:10:244:1::3"}


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (("IPv4",), {"IPv4": FOUR}),
        (("IPv6",), {"IPv6": SIX}),
        (("IPv6", "IPv4"), {"IPv4": FOUR, "IPv6": SIX}),
    ],
)
def test_each_family_of_a_service_has_slices_of_its_own(
    families: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    store = stored(service(ip_families=families), *DUAL)
    assert settle(store) == len(families)
    assert addresses_by_type(store) == expected


def test_a_family_that_a_service_gives_up_loses_its_slices_and_the_other_keeps_them() -> None:
    store = stored(service(ip_families=("IPv4", "IPv6")), *DUAL)
    settle(store)
    before = {item.meta.name for item in store.list(EndpointSlice) if item.address_type == "IPv4"}
    store.apply([Update(replace(store.get(Service, "default", "web"), ip_families=("IPv4",)))])
    assert settle(store) == 1
    assert {item.meta.name for item in store.list(EndpointSlice)} == before


def test_a_pod_without_an_address_of_the_family_is_no_endpoint() -> None:
    store = stored(service(ip_families=("IPv6",)), SERVING)
    settle(store)
    assert addresses_by_type(store) == {"IPv6": set()}
