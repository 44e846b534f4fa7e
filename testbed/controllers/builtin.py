"""The controllers that every lab runs: one line registers one."""

from __future__ import annotations

from testbed.controllers import deployments, endpoint_slices, scheduler
from testbed.controllers.decision import Controller
from testbed.model.objects import Deployment, EndpointSlice, Node, Pod, Service

CONTROLLERS = (
    Controller("deployments", (Deployment, Pod), deployments.reconcile),
    Controller("scheduler", (Pod, Node), scheduler.reconcile),
    Controller(
        "endpoint-slices",
        (Service, Pod, Node, EndpointSlice),
        endpoint_slices.reconcile,
        endpoint_slices.remembering,
    ),
)
