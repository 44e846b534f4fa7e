"""Two topologies' objects -> the writes between them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.lab.differences import allocated, key_of, writes
from testbed.model.containers import Container
from testbed.model.label_selector import LabelSelector
from testbed.model.load_balancer import ALLOCATED_FROM
from testbed.model.objects.metadata import Object, ObjectMeta, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.model.objects.workloads import Deployment, PodTemplate
from testbed.store import Create, Delete, Store, Update

CIDR = (IPv4Network("10.96.0.0/16"),)
BOTH = (*CIDR, IPv6Network("fd00:10:96::/112"))
NODE = Node(ObjectMeta("n1"), internal_ips=("192.0.2.1",))
SPEC = PodSpec((Container("main", "echo"),))
POD = Pod(ObjectMeta("solo", "default"), SPEC)
DEPLOYMENT = Deployment(ObjectMeta("web", "default"), 2, LabelSelector(), PodTemplate({}, SPEC))
SERVICE = Service(ObjectMeta("web", "default"), (ServicePort(80),))
NODE_PORT = replace(SERVICE, type="NodePort")


def applied(*items: Object) -> tuple[Store, dict[tuple[str, str, str], Object]]:
    """A store that holds the objects, and what was applied."""
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in items)
    return store, {key_of(item): item for item in items}


def test_equal_topologies_need_no_write() -> None:
    store, before = applied(NODE, POD, DEPLOYMENT)
    assert writes(before, [NODE, POD, DEPLOYMENT], store.snapshot()) == []


def test_what_is_new_is_created_and_what_is_gone_is_deleted() -> None:
    store, before = applied(NODE, POD)
    assert writes(before, [NODE, DEPLOYMENT], store.snapshot()) == [
        Delete("Pod", "default", "solo"),
        Create(DEPLOYMENT),
    ]


def test_a_changed_pod_is_replaced_and_not_its_successor() -> None:
    store, before = applied(POD)
    changed = replace(POD, spec=replace(SPEC, termination_grace_period_s=1.0))
    uid = store.get(Pod, "default", "solo").meta.uid
    assert writes(before, [changed], store.snapshot()) == [
        Delete("Pod", "default", "solo", uid),
        Create(changed),
    ]


def test_a_changed_node_stays_ready() -> None:
    store, before = applied(NODE)
    store.apply([Update(replace(NODE, ready=True))])
    changed = replace(NODE, unschedulable=True)
    assert writes(before, [changed], store.snapshot()) == [Update(replace(changed, ready=True))]


def test_a_changed_deployment_is_updated() -> None:
    store, before = applied(DEPLOYMENT)
    changed = replace(DEPLOYMENT, replicas=5)
    assert writes(before, [changed], store.snapshot()) == [Update(changed)]


def test_what_became_of_an_object_since_is_nobodys_business() -> None:
    store, before = applied(DEPLOYMENT)
    store.apply([Update(replace(DEPLOYMENT, replicas=7))])
    assert writes(before, [DEPLOYMENT], store.snapshot()) == []


def test_an_object_that_somebody_deleted_is_not_deleted_again() -> None:
    store, before = applied(POD)
    store.apply([Delete("Pod", "default", "solo")])
    assert writes(before, [], store.snapshot()) == []


def test_a_service_keeps_the_address_and_node_port_that_it_was_given() -> None:
    store, _ = applied(*allocated([NODE_PORT], Store(lambda: 0.0).snapshot(), CIDR))
    (given,) = store.list(Service)
    (again,) = allocated([NODE_PORT], store.snapshot(), CIDR)
    assert isinstance(again, Service)
    assert again.cluster_ip == given.cluster_ip
    assert again.cluster_ip
    assert again.ports == given.ports
    assert again.ports[0].node_port


def test_a_service_that_is_no_node_port_any_more_gives_the_port_up() -> None:
    store, _ = applied(*allocated([NODE_PORT], Store(lambda: 0.0).snapshot(), CIDR))
    (plain,) = allocated([SERVICE], store.snapshot(), CIDR)
    assert isinstance(plain, Service)
    assert plain.ports[0].node_port == 0


def test_an_address_that_another_service_has_is_refused() -> None:
    taken = replace(SERVICE, meta=ObjectMeta("other", "default"), cluster_ips=("10.96.0.7",))
    store, _ = applied(taken)
    with pytest.raises(UsageError, match=r"10\.96\.0\.7"):
        allocated([replace(SERVICE, cluster_ips=("10.96.0.7",))], store.snapshot(), CIDR)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({}, {"ip_family_policy": "PreferDualStack"}, 1),
        ({"ip_family_policy": "PreferDualStack"}, {}, 1),
        ({"ip_families": ("IPv6",)}, {"ip_family_policy": "RequireDualStack"}, 0),
        ({}, {"ip_families": ("IPv6",)}, 0),
    ],
    ids=["a second family is added", "the second goes", "a new one comes first", "another one"],
)
def test_a_service_keeps_the_addresses_of_the_families_that_it_keeps(
    before: dict[str, Any], after: dict[str, Any], kept: int
) -> None:
    store, _ = applied(
        *allocated([replace(SERVICE, **before)], Store(lambda: 0.0).snapshot(), BOTH)
    )
    (old,) = store.list(Service)
    (new,) = allocated([replace(SERVICE, **after)], store.snapshot(), BOTH)
    assert isinstance(new, Service)
    assert len(new.cluster_ips) == (2 if after.get("ip_family_policy") else 1)
    assert new.cluster_ips[:kept] == old.cluster_ips[:kept]
    assert len(new.cluster_ips) == len(new.ip_families)


def test_what_others_have_noted_on_a_node_stays() -> None:
    asked = with_meta(NODE, annotations={"ours": "1"})
    store, before = applied(asked)
    noted = with_meta(asked, annotations={"ours": "1", "theirs": "2"})
    store.apply([Update(noted)])
    (change,) = writes(before, [replace(NODE, unschedulable=True)], store.snapshot())
    assert isinstance(change, Update)
    assert change.object.meta.annotations == {"theirs": "2"}


@pytest.mark.parametrize(
    ("noted", "kept"), [({ALLOCATED_FROM: "default"}, True), ({}, False)], ids=["pool", "topology"]
)
def test_a_changed_service_keeps_the_address_that_a_pool_has_given_it_alone(
    noted: dict[str, str], kept: bool
) -> None:
    balanced = replace(SERVICE, type="LoadBalancer")
    store, before = applied(balanced)
    ingress = (LoadBalancerIngress("203.0.113.7"),)
    store.apply(
        [Update(replace(with_meta(balanced, annotations=noted), load_balancer_ingress=ingress))]
    )
    changed = replace(balanced, external_traffic_policy="Local")
    (write,) = writes(before, [changed], store.snapshot())
    assert isinstance(write, Update)
    assert isinstance(write.object, Service)
    assert write.object.load_balancer_ingress == (ingress if kept else ())
    assert write.object.meta.annotations == noted
