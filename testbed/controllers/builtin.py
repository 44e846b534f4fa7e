"""The controllers that every lab runs: one line registers one."""

from __future__ import annotations

from testbed.controllers import (
    deployments,
    endpoint_slices,
    garbage,
    namespaces,
    replica_sets,
    scheduler,
)
from testbed.controllers.decision import Controller
from testbed.model.documents import DOCUMENTS, Namespace
from testbed.model.objects import (
    KINDS,
    Deployment,
    EndpointSlice,
    Node,
    Pod,
    ReplicaSet,
    Service,
)

CONTROLLERS = (
    # First, as each change is shown to the controllers in this order: what is withdrawn is withdrawn soonest.
    Controller(
        "endpoint-slices",
        (Service, Pod, Node, EndpointSlice),
        endpoint_slices.reconcile,
        endpoint_slices.remembering,
    ),
    Controller(
        "deployments", (Deployment, ReplicaSet, Pod), deployments.reconcile, deployments.remembering
    ),
    Controller("replica-sets", (ReplicaSet, Pod), replica_sets.reconcile, replica_sets.remembering),
    Controller("scheduler", (Pod, Node), scheduler.reconcile),
    Controller("garbage", (*KINDS.values(), *DOCUMENTS.values()), garbage.reconcile, garbage.remembering),
    Controller("namespaces", (Namespace,), namespaces.reconcile),
)
