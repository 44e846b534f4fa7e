"""The controllers that every lab runs: one line registers one."""

from __future__ import annotations

from functools import partial

from testbed.controllers import (
    daemon_sets,
    deployments,
    endpoint_slices,
    endpoints_mirroring,
    garbage,
    ingress_status,
    namespaces,
    node_lifecycle,
    pod_garbage,
    replica_sets,
    scheduler,
    service_addresses,
    service_endpoints,
    taint_eviction,
)
from testbed.controllers.decision import Controller
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.timing import NodeTiming
from testbed.model.documents import (
    DOCUMENTS,
    Endpoints,
    Ingress,
    IngressClass,
    IPAddress,
    Namespace,
    ServiceCIDR,
)
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.kinds import KINDS
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import DaemonSet, Deployment, ReplicaSet

CONTROLLERS = (
    # Prompt: proxies wait for what is withdrawn.
    Controller(
        "endpoint-slices",
        (Service, Pod, Node, EndpointSlice),
        endpoint_slices.reconcile,
        endpoint_slices.remembering,
        prompt=True,
    ),
    Controller(
        "deployments", (Deployment, ReplicaSet, Pod), deployments.reconcile, deployments.remembering
    ),
    Controller(
        "daemon-sets", (DaemonSet, Pod, Node), daemon_sets.reconcile, daemon_sets.remembering
    ),
    Controller("replica-sets", (ReplicaSet, Pod), replica_sets.reconcile, replica_sets.remembering),
    Controller("scheduler", (Pod, Node), scheduler.reconcile, scheduler.remembering),
    Controller(
        "garbage", (*KINDS.values(), *DOCUMENTS.values()), garbage.reconcile, garbage.remembering
    ),
    Controller("namespaces", (Namespace,), namespaces.reconcile),
    Controller(
        "ingress-status", (Ingress, IngressClass, Pod, Service, Node), ingress_status.reconcile
    ),
)


FOR_CLIENTS = (
    Controller(
        "endpoints",
        (Service, EndpointSlice, Endpoints),
        service_endpoints.reconcile,
        service_endpoints.remembering,
    ),
    Controller(
        "endpoints-mirroring",
        (Service, EndpointSlice, Endpoints),
        endpoints_mirroring.reconcile,
        endpoints_mirroring.remembering,
    ),
    Controller(
        "service-addresses",
        (Service, IPAddress, ServiceCIDR),
        service_addresses.reconcile,
        service_addresses.remembering,
    ),
)
"""What keeps up objects that only clients of the API read or write."""


def of_nodes(heartbeats: Heartbeats, timing: NodeTiming) -> tuple[Controller, ...]:
    """What sees to nodes that fail, where there are kubelets to be heard of."""
    return (
        Controller(
            "node-lifecycle", (Node,), partial(node_lifecycle.reconcile, heartbeats, timing)
        ),
        Controller(
            "taint-eviction",
            (Node, Pod),
            partial(taint_eviction.reconcile, timing),
            partial(taint_eviction.remembering, timing),
        ),
        Controller("pod-garbage", (Node, Pod), pod_garbage.reconcile, pod_garbage.remembering),
    )
