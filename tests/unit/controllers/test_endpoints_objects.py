"""Endpoints of services, hand-made Endpoints mirrored into slices, IPAddress objects and service ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.controllers import (
    endpoint_slices,
    endpoints_mirroring,
    service_addresses,
    service_endpoints,
)
from testbed.controllers.endpoints_mirroring import MANAGED_BY
from testbed.controllers.selection import MANAGED_BY_LABEL
from testbed.model.documents import Endpoints, IPAddress, ServiceCIDR
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort, EndpointSlice, TargetRef
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Create, Delete, Store, Update

from .cluster import node, pod, running, service, stored
from .converging import converge

ALL = (
    endpoint_slices.reconcile,
    service_endpoints.reconcile,
    endpoints_mirroring.reconcile,
    service_addresses.reconcile,
)


def made(name: str = "web", *subsets: dict[str, Any], **meta: Any) -> Endpoints:
    return Endpoints(ObjectMeta(name, "default", rest={"subsets": list(subsets)}, **meta))


def subset(*ips: str, port: int = 8080, **more: Any) -> dict[str, Any]:
    return {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": port}], **more}


def settle(store: Store) -> None:
    converge(store, ALL)


# Endpoints of services


def test_a_services_endpoints_are_its_pods() -> None:
    unready = running(pod("web-1"), "10.244.1.3", ready=False)
    ending = with_meta(running(pod("web-2"), "10.244.1.4"), deletion_s=1.0)
    store = stored(
        node("n1"), service(cluster_ips=("10.96.0.9",), labels={"team": "a"}),
        running(pod("web-0"), "10.244.1.2"), unready, ending,
    )  # fmt: skip
    settle(store)
    found = store.get(Endpoints, "default", "web")
    uid = store.get(Pod, "default", "web-0").meta.uid
    (only,) = found.body["subsets"]
    assert only["addresses"] == [
        {
            "ip": "10.244.1.2",
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": uid},
        }
    ]
    assert [one["ip"] for one in only["notReadyAddresses"]] == ["10.244.1.3"]
    assert only["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert found.meta.labels["team"] == "a"
    assert [item.meta.labels[MANAGED_BY_LABEL] for item in store.list(EndpointSlice)] == [
        "endpointslice-controller.k8s.io"
    ]


def test_they_follow_the_pods_and_go_with_the_service() -> None:
    store = stored(service(cluster_ips=("10.96.0.9",)), running(pod("web-0"), "10.244.1.2"))
    settle(store)
    store.apply([Delete("Pod", "default", "web-0")])
    settle(store)
    assert store.get(Endpoints, "default", "web").body["subsets"] == []
    store.apply([Delete("Service", "default", "web")])
    settle(store)
    assert store.list(Endpoints) == ()


def test_no_more_addresses_than_one_object_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_endpoints, "MOST_ADDRESSES", 3)
    pods = [
        running(pod(f"web-{index}"), f"10.244.1.{index + 2}", ready=index > 1) for index in range(4)
    ]
    store = stored(service(cluster_ips=("10.96.0.9",)), *pods)
    settle(store)
    found = store.get(Endpoints, "default", "web")
    (only,) = found.body["subsets"]
    assert (len(only["addresses"]), len(only["notReadyAddresses"])) == (2, 1)
    assert found.meta.annotations == {service_endpoints.OVER_CAPACITY_ANNOTATION: "truncated"}


def test_hand_made_endpoints_are_nobody_elses() -> None:
    store = stored(service(selector={}), made("web", subset("192.0.2.7")), made("other"))
    version = {item.meta.name: item.meta.resource_version for item in store.list(Endpoints)}
    settle(store)
    assert version == {item.meta.name: item.meta.resource_version for item in store.list(Endpoints)}


# Mirroring


def test_hand_made_endpoints_are_mirrored() -> None:
    address = {
        "ip": "192.0.2.7", "hostname": "db", "nodeName": "n1",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "db-0", "uid": "u"},
    }  # fmt: skip
    ports = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    store = stored(
        service(selector={}),
        made("web", {"addresses": [address], "notReadyAddresses": [{"ip": "192.0.2.8"}], "ports": ports},
             labels={"team": "a"}),
    )  # fmt: skip
    settle(store)
    (found,) = store.list(EndpointSlice)
    assert found.service == ("default", "web")
    assert (found.meta.labels["team"], found.meta.labels[MANAGED_BY_LABEL]) == ("a", MANAGED_BY)
    assert found.meta.owner is not None
    assert found.meta.owner.kind == "Endpoints"
    assert found.ports == (EndpointPort(5432, "sql"),)
    target = TargetRef("default", "db-0", "u")
    assert found.endpoints == (
        Endpoint(("192.0.2.7",), node_name="n1", hostname="db", target=target),
        Endpoint(("192.0.2.8",), ready=False, serving=False),
    )


def test_each_family_and_each_set_of_ports_has_a_slice_that_is_kept() -> None:
    both = made("web", subset("192.0.2.7", "2001:db8::7"), subset("192.0.2.9", port=9090))
    store = stored(service(selector={}), both)
    settle(store)
    slices = {
        (item.address_type, item.ports[0].port): item.meta.name
        for item in store.list(EndpointSlice)
    }
    assert set(slices) == {("IPv4", 8080), ("IPv6", 8080), ("IPv4", 9090)}
    found = store.get(Endpoints, "default", "web")
    store.apply([Update(with_meta(found, rest={"subsets": [subset("192.0.2.70")]}))])
    settle(store)
    (left,) = store.list(EndpointSlice)
    assert left.meta.name == slices["IPv4", 8080]
    assert left.endpoints[0].addresses == ("192.0.2.70",)


NOT_MIRRORED: list[tuple[str, tuple[Any, ...]]] = [
    ("no service", (made("web", subset("192.0.2.7")),)),
    ("told not to", (service(selector={}),
     made("web", subset("192.0.2.7"), labels={endpoints_mirroring.SKIP_LABEL: "true"}))),
    ("a lock of a leader election", (service(selector={}),
     made("web", subset("192.0.2.7"), annotations={endpoints_mirroring.LEADER_ANNOTATION: "{}"}))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "objects"), NOT_MIRRORED, ids=[row[0] for row in NOT_MIRRORED])
def test_what_is_not_mirrored(name: str, objects: tuple[Any, ...]) -> None:
    store = stored(*objects)
    settle(store)
    assert store.list(EndpointSlice) == ()


def test_mirrored_slices_go_with_the_endpoints_and_with_the_selector() -> None:
    store = stored(service(selector={}), made("web", subset("192.0.2.7")))
    settle(store)
    assert len(store.list(EndpointSlice)) == 1
    store.apply([Delete("Endpoints", "default", "web")])
    settle(store)
    assert store.list(EndpointSlice) == ()
    store.apply([Create(made("web", subset("192.0.2.7")))])
    settle(store)
    selecting = replace(store.get(Service, "default", "web"), selector={"app": "web"})
    store.apply([Update(selecting)])
    settle(store)
    assert [item.meta.labels[MANAGED_BY_LABEL] for item in store.list(EndpointSlice)] == [
        "endpointslice-controller.k8s.io"
    ]


# Addresses of services


def test_every_address_of_a_service_is_an_object() -> None:
    store = stored(
        service(cluster_ips=("10.96.0.9", "fd00::9")), service("headless", cluster_ips=("None",))
    )
    settle(store)
    assert sorted(item.meta.name for item in store.list(IPAddress)) == ["10.96.0.9", "fd00::9"]
    changed = replace(store.get(Service, "default", "web"), cluster_ips=("10.96.0.9",))
    store.apply([Update(changed)])
    settle(store)
    assert [item.meta.name for item in store.list(IPAddress)] == ["10.96.0.9"]
    store.apply([Delete("Service", "default", "web")])
    settle(store)
    assert store.list(IPAddress) == ()


def test_a_range_goes_once_no_service_needs_it() -> None:
    cidr = ServiceCIDR(ObjectMeta("more", rest={"spec": {"cidrs": ["10.97.0.0/24"]}}))
    store = stored(cidr, service(cluster_ips=("10.97.0.9",)))
    settle(store)
    found = store.get(ServiceCIDR, "", "more")
    assert found.body["status"]["conditions"][0]["status"] == "True"
    assert found.meta.finalizers == (service_addresses.FINALIZER,)
    store.apply([Update(with_meta(found, deletion_s=5.0))])
    settle(store)
    waiting = store.get(ServiceCIDR, "", "more").body["status"]["conditions"][0]
    assert (waiting["status"], waiting["reason"]) == ("False", "Terminating")
    store.apply([Delete("Service", "default", "web")])
    settle(store)
    assert store.list(ServiceCIDR) == ()
