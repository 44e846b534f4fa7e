"""Is the lab what its topology says? As text: what is still missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.controllers.decision import Controller
from testbed.model.objects.metadata import name_of
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import AWAIT_ANNOTATION, Pod
from testbed.store import Snapshot

_SHOWN = 5


def unready_pods(snapshot: Snapshot) -> list[Pod]:
    """Pods that are not ready, or are on their way out."""
    return [
        pod
        for pod in snapshot.list(Pod)
        if pod.meta.deletion_s is not None or not _is_as_wanted(pod)
    ]


def _is_as_wanted(pod: Pod) -> bool:
    if pod.meta.annotations.get(AWAIT_ANNOTATION) == "false":
        return pod.status.phase in {"Running", "Succeeded"}
    return pod.status.ready or pod.status.phase == "Succeeded"


def missing(snapshot: Snapshot, controllers: Sequence[Controller], now_s: float) -> str:
    """What the control plane still has to do, in one line; "" when nothing: no controller would write
    anything, and every pod is ready.
    """
    nodes = [node.meta.name for node in snapshot.list(Node) if not node.ready]
    if nodes:
        return f"nodes not ready: {', '.join(nodes[:_SHOWN])}"
    waiting = unready_pods(snapshot)
    if waiting:
        total = sum(1 for _ in snapshot.list(Pod))
        named = "; ".join(map(_why, waiting[:_SHOWN])) + ("; …" if len(waiting) > _SHOWN else "")
        return f"{total - len(waiting)} of {total} pods ready, waiting for {named}"
    busy = [item.name for item in controllers if item.reconcile(snapshot, now_s)[0]]
    return f"controllers at work: {', '.join(busy)}" if busy else ""


def _why(pod: Pod) -> str:
    if pod.meta.deletion_s is not None:
        return f"{name_of(pod)} terminating"
    status = pod.status
    containers = (*status.init_containers, *status.containers)
    kept = next((one for one in containers if one.state == "waiting" and one.reason), None)
    said = kept if kept is not None and not status.reason else status
    detail = f": {said.message}" if said.message else ""
    return f"{name_of(pod)} {said.reason or status.phase}{detail}"
