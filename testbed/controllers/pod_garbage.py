"""Pods that nobody cleans up after: on nodes that are gone or out of service, and those that ended long ago.

Source: pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import following
from testbed.controllers.pod_deletion import TERMINAL_PHASES, deletion
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Key, Snapshot, Write

MOST_TERMINATED = 12_500
"""--terminated-pod-gc-threshold."""
QUARANTINE_S = 40.0
"""How long a pod may be on a node that is not there: the node may be about to be."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Deletes them at once."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    ended: dict[Key, Pod] = {}
    gone_since_s: dict[str, float] = {}

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        """Names of nodes, under "node"; the ended pods as one key."""
        nodes = {name for _, name in now.of(Node).changed_since(then.of(Node))}
        found: set[Key] = set()
        for key, (_, pod) in now.of(Pod).changed_since(then.of(Pod)).items():
            ended.pop(key, None)
            if pod is None:
                continue
            if pod.status.phase in TERMINAL_PHASES:
                ended[key] = pod
            if pod.spec.node_name and _is_lost(now, pod.spec.node_name):
                nodes.add(pod.spec.node_name)
        if len(ended) > MOST_TERMINATED:
            found.add(("ended", ""))
        return found | {("node", name) for name in nodes}

    def decide(now: Snapshot, key: Key, now_s: float) -> Decision:
        what, name = key
        if what == "ended":
            oldest = sorted(ended.values(), key=lambda pod: (pod.meta.creation_s, pod.meta.name))
            return [deletion(pod, now_s, force=True) for pod in oldest[:-MOST_TERMINATED]], None
        if not _is_lost(now, name):
            gone_since_s.pop(name, None)
            return [], None
        node = now.get(Node, "", name)
        if node is not None:
            return _deleted(now, name, now_s, terminating=True), None
        due_s = gone_since_s.setdefault(name, now_s) + QUARANTINE_S
        if now_s < due_s:
            return [], due_s
        return _deleted(now, name, now_s), None

    return following(touched, decide)


def _is_lost(snapshot: Snapshot, name: str) -> bool:
    """Whether the node is not there, or is out of service and not ready."""
    node = snapshot.get(Node, "", name)
    if node is None:
        return True
    return not node.ready and any(taint.key == OUT_OF_SERVICE for taint in node.taints)


def _deleted(
    snapshot: Snapshot, node: str, now_s: float, *, terminating: bool = False
) -> list[Write]:
    return [
        deletion(pod, now_s, force=True)
        for pod in snapshot.list(Pod)
        if pod.spec.node_name == node and (pod.meta.deletion_s is not None or not terminating)
    ]
