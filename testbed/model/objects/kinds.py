"""The kinds of objects that are dataclasses here; `model.documents` has all others."""

from __future__ import annotations

from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import DaemonSet, Deployment, ReplicaSet

KINDS: dict[str, type] = {
    kind.kind: kind
    for kind in (Node, Pod, Deployment, ReplicaSet, DaemonSet, Service, EndpointSlice)
}
"""By the name of the kind."""
