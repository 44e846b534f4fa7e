"""Which addresses ingresses have: where their controller's ready pods are reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.controllers.ingress_status import reconcile
from testbed.model.containers import Container
from testbed.model.documents import Ingress
from testbed.model.ingress_objects import IMAGE
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.services import LoadBalancerIngress, Service
from testbed.store import Update
from tests.unit.edge.ingresses import ingress, ingress_class, path

from .cluster import node, pod, running, service, stored

PUBLISHED = ("--publish-service=default/edge",)
N1 = node("n1", internal_ips=("172.18.0.2", "fd00::2"))
N2 = node("n2", internal_ips=("172.18.0.3",))
BOTH = [{"ip": "172.18.0.2"}, {"ip": "fd00::2"}, {"ip": "172.18.0.3"}]


def controller(name: str, where: str, *arguments: str, **status: Any) -> Object:
    bare = pod(name, containers=(Container("c", IMAGE, args=arguments),))
    return running(bare, "10.244.0.9", where, **status)


def edge(kind: str, *points: LoadBalancerIngress) -> Service:
    made = service("edge", type=kind, cluster_ips=("10.96.0.9",))
    return replace(made, load_balancer_ingress=points)


TABLE: tuple[tuple[str, tuple[Object, ...], list[dict[str, str]]], ...] = (
    ("at its nodes", (controller("a", "n1"), controller("b", "n2")), BOTH),
    ("not while it is not ready", (controller("a", "n1", ready=False),), []),
    (
        "by a load balancer",
        (
            controller("a", "n1", *PUBLISHED),
            edge(
                "LoadBalancer", LoadBalancerIngress("192.0.2.1"), LoadBalancerIngress("", "lb.test")
            ),
        ),
        [{"ip": "192.0.2.1"}, {"hostname": "lb.test"}],
    ),
    (
        "by a load balancer without an address",
        (controller("a", "n1", *PUBLISHED), edge("LoadBalancer")),
        [],
    ),
    (
        "by node ports",
        (controller("a", "n2", *PUBLISHED), edge("NodePort")),
        [{"ip": "172.18.0.3"}],
    ),
    ("inside", (controller("a", "n1", *PUBLISHED), edge("ClusterIP")), [{"ip": "10.96.0.9"}]),
    ("by a service that is not there", (controller("a", "n1", *PUBLISHED),), []),
)
OLD = [{"ip": "192.0.2.9"}]


def with_points(item: Ingress, points: list[dict[str, str]]) -> Ingress:
    return with_meta(item, rest={**item.body, "status": {"loadBalancer": {"ingress": points}}})


@pytest.mark.parametrize(("objects", "points"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_addresses(objects: tuple[Object, ...], points: list[dict[str, str]]) -> None:
    item = with_points(ingress("a", ("x.test", [path("/", "web")])), OLD)
    store = stored(N1, N2, ingress_class(), item, *objects)
    writes, _ = reconcile(store.snapshot(), 0.0)
    (write,) = writes
    assert isinstance(write, Update)
    assert isinstance(write.object, Ingress)
    found = write.object.body["status"]["loadBalancer"]
    assert found == ({"ingress": points} if points else {})
    store.apply(writes)
    assert reconcile(store.snapshot(), 1.0) == ([], None)


FOREIGN = (
    (controller("a", "n1", "--controller=example.com/x"),),
    (controller("a", "n1", "--no-such-argument=1"),),
    (),
)


@pytest.mark.parametrize("objects", FOREIGN)
def test_those_that_no_controller_carries_are_left_alone(objects: tuple[Object, ...]) -> None:
    item = with_points(ingress("a", ("x.test", [path("/", "web")])), OLD)
    assert reconcile(stored(N1, ingress_class(), item, *objects).snapshot(), 0.0) == ([], None)
