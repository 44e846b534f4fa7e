"""Pods on nodes with NoExecute taints: deleted once they do not tolerate them any longer.

Source: pkg/controller/tainteviction/taint_eviction.go; plugin/pkg/admission/defaulttolerationseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import following
from testbed.controllers.node_lifecycle import NOT_READY, UNREACHABLE
from testbed.controllers.pod_deletion import TERMINAL_PHASES, deletion
from testbed.controllers.timing import NodeTiming
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.scheduling import NO_EXECUTE, Taint, Toleration
from testbed.store import Key, Snapshot, Update, Write


def reconcile(timing: NodeTiming, snapshot: Snapshot, now_s: float) -> Decision:
    """Deletes the pods whose time is over; says when that of the next is."""
    return remembering(timing)(snapshot, now_s)


def remembering(timing: NodeTiming) -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    return following(_touched, partial(_decide, timing))


def default_tolerations(spec: PodSpec, tolerance_s: float) -> tuple[Toleration, ...]:
    """A pod's tolerations, with those of nodes that fail, which every pod has unless it says otherwise."""
    missing = [
        Toleration(key, "Exists", "", "NoExecute", tolerance_s)
        for key in (NOT_READY, UNREACHABLE)
        if not any(
            one.key in ("", key) and one.effect in ("", NO_EXECUTE) for one in spec.tolerations
        )
    ]
    return (*spec.tolerations, *missing)


def _touched(then: Snapshot, now: Snapshot) -> set[Key]:
    """Nodes that have changed, and tainted ones whose pods have."""
    found = set(now.of(Node).changed_since(then.of(Node)))
    for _, pod in now.of(Pod).changed_since(then.of(Pod)).values():
        node = now.get(Node, "", pod.spec.node_name) if pod else None
        if node is not None and any(_of_node(node)):
            found.add(("", node.meta.name))
    return found


def _of_node(node: Node) -> Iterator[Taint]:
    return (taint for taint in node.taints if taint.effect == NO_EXECUTE)


def _decide(timing: NodeTiming, snapshot: Snapshot, key: Key, now_s: float) -> Decision:
    node = snapshot.get(Node, *key)
    taints = tuple(_of_node(node)) if node else ()
    if node is None or not taints:
        return [], None
    if any(taint.added_s is None for taint in taints):
        return [Update(_stamped(node, now_s))], None
    writes: list[Write] = []
    wakes: list[float] = []
    for pod in snapshot.list(Pod):
        if pod.spec.node_name != node.meta.name or pod.meta.deletion_s is not None:
            continue
        if pod.status.phase in TERMINAL_PHASES:
            continue
        until_s = _until_s(pod, taints, timing.toleration_s)
        if until_s is None:
            continue
        if until_s <= now_s:
            writes.append(deletion(pod, now_s))
        else:
            wakes.append(until_s)
    return writes, min(wakes, default=None)


def _stamped(node: Node, now_s: float) -> Node:
    """The node with the time noted at which somebody's taints were first seen."""
    return replace(
        node,
        taints=tuple(
            replace(taint, added_s=now_s) if taint.added_s is None else taint
            for taint in node.taints
        ),
    )


def _until_s(pod: Pod, taints: tuple[Taint, ...], tolerance_s: float) -> float | None:
    """Until when it may stay; None: for ever."""
    tolerations = default_tolerations(pod.spec, tolerance_s)
    times: list[float] = []
    for taint in taints:
        matching = [one for one in tolerations if one.tolerates(taint)]
        since_s = max(taint.added_s or 0.0, pod.meta.creation_s)
        if not matching:
            return since_s
        bounded = [one.toleration_seconds for one in matching if one.toleration_seconds is not None]
        times += [since_s + max(0.0, seconds) for seconds in bounded]
    return min(times, default=None)
