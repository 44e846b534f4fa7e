"""Services, nodes and slices for tests of load balancers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.store import Create, Snapshot, Store

NO_NOTES: Mapping[str, str] = {}


def service(
    name: str,
    *,
    notes: Mapping[str, str] = NO_NOTES,
    ips: Iterable[str] = (),
    ports: Iterable[int] = (80,),
    **changes: Any,
) -> Service:
    """One of type LoadBalancer, of IPv4."""
    made = Service(
        ObjectMeta(name, "default", annotations=dict(notes)),
        ports=tuple(ServicePort(port, f"p{port}") for port in ports),
        type="LoadBalancer",
        cluster_ips=("10.96.0.9",),
        ip_families=("IPv4",),
        ip_family_policy="SingleStack",
        load_balancer_ingress=tuple(LoadBalancerIngress(ip) for ip in ips),
    )
    return replace(made, **changes)


def node(name: str, **labels: str) -> Node:
    return Node(ObjectMeta(name, labels=labels), internal_ips=("172.18.0.2",))


def endpoints(of: str, *on: str, ready: bool = True, serving: bool = False) -> EndpointSlice:
    """A slice with an endpoint on each of these nodes."""
    meta = ObjectMeta(f"{of}-slice", "default", labels={"kubernetes.io/service-name": of})
    found = tuple(
        Endpoint((f"10.244.0.{index}",), ready=ready, serving=ready or serving, node_name=name)
        for index, name in enumerate(on, 2)
    )
    return EndpointSlice(meta, found)


def state(*objects: Object) -> Snapshot:
    """In which these were made one after the other."""
    seconds = count()
    store = Store(lambda: float(next(seconds)))
    for one in objects:
        store.apply([Create(one)])
    return store.snapshot()
