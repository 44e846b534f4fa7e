"""What a cluster is born with: made up for where it is missing, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from testbed.apiserver import bootstrap
from testbed.model.documents import ConfigMap, Endpoints, Namespace, ServiceAccount, ServiceCIDR
from testbed.model.manifest import to_manifest
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.services import Service
from testbed.store import Create, Delete, Store, Update

CLUSTER = bootstrap.Cluster(("10.96.0.0/16",), "10.96.0.1", "172.18.0.1", "a certificate")
EVERYWHERE = set(bootstrap.SYSTEM_NAMESPACES)


def born(*used: str) -> Store:
    store = Store(lambda: 0.0)
    store.apply(bootstrap.missing(store.snapshot(), CLUSTER, used))
    return store


def names(store: Store, kind: type) -> set[str]:
    return {item.meta.name for item in store.list(kind)}


def test_a_cluster_is_born_with_what_kubernetes_has() -> None:
    store = born()
    assert names(store, Namespace) == EVERYWHERE
    assert {item.meta.namespace for item in store.list(ServiceAccount)} == EVERYWHERE
    authority = store.get(ConfigMap, "default", "kube-root-ca.crt")
    assert to_manifest(authority)["data"] == {"ca.crt": "a certificate"}
    cidr = to_manifest(store.get(ServiceCIDR, "", "kubernetes"))
    assert cidr["spec"] == {"cidrs": ["10.96.0.0/16"]}


def test_the_service_kubernetes_leads_to_the_api_server() -> None:
    store = born()
    service = store.get(Service, "default", "kubernetes")
    assert (service.cluster_ips, service.ports[0].port, dict(service.selector)) == (
        ("10.96.0.1",),
        443,
        {},
    )
    found = store.get(EndpointSlice, "default", "kubernetes")
    assert found.service == ("default", "kubernetes")
    assert [endpoint.addresses for endpoint in found.endpoints] == [("172.18.0.1",)]
    assert [port.port for port in found.ports] == [6443]
    assert names(store, Endpoints) == {"kubernetes"}


def test_once_it_is_there_nothing_is_missing() -> None:
    store = born("shop")
    assert bootstrap.missing(store.snapshot(), CLUSTER, ["shop"]) == []


def test_a_namespace_that_objects_are_in_is_declared_and_furnished() -> None:
    store = born("shop")
    assert names(store, Namespace) == EVERYWHERE | {"shop"}
    labels = store.get(Namespace, "", "shop").meta.labels
    assert labels == {"kubernetes.io/metadata.name": "shop"}
    assert store.get(ServiceAccount, "shop", "default")


def test_what_a_user_deletes_comes_back() -> None:
    store = born()
    store.apply([Delete("ServiceAccount", "default", "default")])
    store.apply(bootstrap.missing(store.snapshot(), CLUSTER, ()))
    assert store.get(ServiceAccount, "default", "default")


def test_a_namespace_that_ends_is_not_furnished_again() -> None:
    store = born("shop")
    ending = with_meta(store.get(Namespace, "", "shop"), deletion_s=1.0)
    store.apply([Update(replace(ending)), Delete("ServiceAccount", "shop", "default")])
    assert bootstrap.missing(store.snapshot(), CLUSTER, ["shop"]) == []


def test_its_address_is_the_first_that_a_topology_has_not_given_away() -> None:
    services = ip_network("10.96.0.0/16")
    store = born()
    assert bootstrap.service_ip(services, store.snapshot()) == "10.96.0.1"
    other = Service(ObjectMeta("web", "default"), cluster_ips=("10.96.0.1",))
    store = Store(lambda: 0.0)
    store.apply([Create(other)])
    assert bootstrap.service_ip(services, store.snapshot()) == "10.96.0.2"


def test_in_ipv6_its_slice_is_of_that_family() -> None:
    store = Store(lambda: 0.0)
    cluster = bootstrap.Cluster(("fd00:10:96::/112",), "fd00:10:96::1", "fd00::1", "")
    store.apply(bootstrap.missing(store.snapshot(), cluster, ()))
    assert store.get(EndpointSlice, "default", "kubernetes").address_type == "IPv6"
    assert store.get(Service, "default", "kubernetes").ip_families == ("IPv6",)
