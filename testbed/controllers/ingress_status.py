"""The addresses of ingresses: where their controller is reached.

Source: ingress controllers' --publish-service; without it it is the addresses of the nodes that they are on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.controllers.decision import Decision
from testbed.edge.ingress_controllers import controller_pods
from testbed.edge.ingress_objects import carried
from testbed.edge.ingress_options import Options
from testbed.model.documents import Ingress
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Key, Snapshot, Update

Points = list[dict[str, Any]]
"""`status.loadBalancer.ingress`."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Writes them where they are others. Ingresses that no controller of the lab carries are left alone."""
    if not snapshot.of(Ingress):
        return [], None
    wanted: dict[Key, Points] = {}
    for controller, points in _controllers(snapshot).items():
        for one in carried(snapshot, controller):
            wanted[one.key] = points
    writes = []
    for key, points in wanted.items():
        item = snapshot.of(Ingress)[key]
        if _points(item) != points:
            status = {"loadBalancer": {"ingress": points} if points else {}}
            writes.append(Update(with_meta(item, rest={**item.body, "status": status})))
    return list(writes), None


def _points(item: Ingress) -> Points:
    status: Mapping[str, Any] = item.body.get("status") or {}
    found = (status.get("loadBalancer") or {}).get("ingress") or []
    return [dict(one) for one in found]


def _controllers(snapshot: Snapshot) -> dict[str, Points]:
    """Every controller that has pods, by its name: where the ready ones are reached."""
    found: dict[str, Points] = {}
    for pod, options in sorted(controller_pods(snapshot), key=lambda pair: pair[0].meta.name):
        points = found.setdefault(options.controller, [])
        if pod.status.ready and pod.meta.deletion_s is None:
            points += [one for one in _reached(snapshot, pod, options) if one not in points]
    return found


def _reached(snapshot: Snapshot, pod: Pod, options: Options) -> Points:
    if not options.publish_service:
        return _of_node(snapshot, pod)
    namespace, _, name = options.publish_service.partition("/")
    service = snapshot.get(Service, namespace, name)
    if service is None:
        return []
    if service.type == "LoadBalancer":
        points = service.load_balancer_ingress
        return [{"ip": one.ip} if one.ip else {"hostname": one.hostname} for one in points]
    if service.type == "NodePort":
        return _of_node(snapshot, pod)
    return [{"ip": ip} for ip in service.cluster_ips if ip != "None"]


def _of_node(snapshot: Snapshot, pod: Pod) -> Points:
    node = snapshot.get(Node, "", pod.spec.node_name)
    return [{"ip": ip} for ip in node.internal_ips] if node is not None else []
