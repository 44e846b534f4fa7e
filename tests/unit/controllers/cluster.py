"""Objects for the tables of these tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Probe
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import Deployment, PodTemplate
from testbed.store import Create, Snapshot, Store

ECHO = Container("echo", "testbed/echo", (ContainerPort(8080, "http"),))
PROBE = Probe(HTTPGetAction("/healthz", 8080))


def node(name: str, labels: Mapping[str, str] | None = None, **fields: Any) -> Node:
    return Node(ObjectMeta(name, labels=labels or {}), **{"ready": True, **fields})


def pod(name: str = "web-0", labels: Mapping[str, str] | None = None, **spec: Any) -> Pod:
    """A pod of the echo server, not bound, labelled app=web unless told otherwise."""
    meta = ObjectMeta(name, "default", labels={"app": "web"} if labels is None else labels)
    return Pod(meta, PodSpec(**{"containers": (ECHO,), **spec}))


def running(bare: Pod, ip: str, node_name: str = "n1", **status: Any) -> Pod:
    """The same pod as it is once it serves."""
    spec = replace(bare.spec, node_name=node_name)
    fields = {
        "phase": "Running",
        "pod_ips": (ip,) if ip else (),
        "ready": True,
        "scheduled": True,
        **status,
    }
    return replace(bare, spec=spec, status=PodStatus(**fields))


def deployment(name: str = "web", replicas: int = 3, **meta: Any) -> Deployment:
    labels = {"app": name}
    template = PodTemplate(labels, PodSpec((ECHO,)))
    return Deployment(
        ObjectMeta(name, "default", **meta), replicas, LabelSelector(labels), template
    )


def service(name: str = "web", **fields: Any) -> Service:
    meta = ObjectMeta(name, "default", labels=fields.pop("labels", {}))
    given = {"selector": {"app": "web"}, "ports": (ServicePort(80, target_port=8080),), **fields}
    return Service(meta, **given)


def stored(*objects: Object) -> Store:
    """A store that holds these objects, at time 0."""
    store = Store(now_s=lambda: 0.0)
    store.apply([Create(item) for item in objects])
    return store


def snapshot(*objects: Object) -> Snapshot:
    return stored(*objects).snapshot()
