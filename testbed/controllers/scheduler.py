"""Pods without a node -> the node that fits: preferred terms, then fewest pods, then name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from testbed.controllers.decision import Decision
from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.model.fakes import is_fake, wants_fake
from testbed.model.node_affinity import matches, preference
from testbed.model.objects import Node, Pod
from testbed.store import Snapshot, Update

_NOT_READY = "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
_FAKE = "node(s) had untolerated taint {kwok.x-k8s.io/node: fake}"
_UNSCHEDULABLE = "node(s) were unschedulable"
_NO_MATCH = "node(s) didn't match Pod's node affinity/selector"


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Binds every pod that fits somewhere; says of each other pod why it does not.

    One pass: a pod bound earlier in it counts for those after it. `now_s` is not used: the result
    depends on the state alone.
    """
    nodes = sorted(snapshot.list(Node), key=lambda node: node.meta.name)
    waiting: list[Pod] = []
    load: Counter[str] = Counter()
    for pod in snapshot.list(Pod):
        if pod.status.phase in TERMINAL_PHASES:
            continue
        if pod.spec.node_name:
            load[pod.spec.node_name] += 1
        elif pod.meta.deletion_s is None:
            waiting.append(pod)
    decided: list[Pod] = []
    for pod in waiting:
        after = _schedule(pod, nodes, load)
        load[after.spec.node_name] += 1
        if after is not pod:
            decided.append(after)
    return [Update(pod) for pod in decided], None


def _schedule(pod: Pod, nodes: Sequence[Node], load: Counter[str]) -> Pod:
    """The pod bound to its node, or marked Unschedulable; the same object when that is no news."""
    fitting = [node for node in nodes if not _obstacle(pod, node)]
    if not fitting:
        message = _why_not(pod, nodes)
        if (pod.status.reason, pod.status.message) == ("Unschedulable", message):
            return pod
        return replace(pod, status=replace(pod.status, reason="Unschedulable", message=message))
    # min() keeps the first of equals, and `nodes` is sorted by name.
    best = min(fitting, key=lambda node: (-preference(pod.spec, node), load[node.meta.name]))
    return replace(
        pod,
        spec=replace(pod.spec, node_name=best.meta.name),
        status=replace(pod.status, scheduled=True, reason="", message=""),
    )


def _obstacle(pod: Pod, node: Node) -> str:
    """Why the pod cannot run there, in kube-scheduler's words; "" when it can."""
    if node.unschedulable:
        return _UNSCHEDULABLE
    if not node.ready:
        return _NOT_READY
    if is_fake(node) and not wants_fake(pod.spec):
        return _FAKE
    return "" if matches(pod.spec, node) else _NO_MATCH


def _why_not(pod: Pod, nodes: Sequence[Node]) -> str:
    """kube-scheduler's FitError message."""
    if not nodes:
        return "no nodes available to schedule pods"
    counts = Counter(_obstacle(pod, node) for node in nodes)
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{len(nodes)} nodes are available: {reasons}."
