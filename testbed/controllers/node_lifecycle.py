"""Nodes that fall silent: NotReady, then tainted, their pods not ready; and back again.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from testbed.controllers.decision import Decision
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.timing import NodeTiming
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.pods import Pod
from testbed.model.scheduling import NO_EXECUTE, NO_SCHEDULE, Taint
from testbed.store import Snapshot, Update, Write

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE})

_EVICTION_PERIOD_S = 10.0
"""Between two nodes of a zone whose pods are to go (--node-eviction-rate 0.1)."""
_SECONDARY_PERIOD_S = 100.0
"""The same in a large zone most of which is not ready (--secondary-node-eviction-rate 0.01)."""
_LARGE_ZONE = 50
_UNHEALTHY_SHARE = 0.55


def reconcile(
    heartbeats: Heartbeats, timing: NodeTiming, snapshot: Snapshot, now_s: float
) -> Decision:
    """Judges each node as of the last look that was due; looks come at fixed times."""
    looks, period_s = now_s // timing.monitor_period_s, timing.monitor_period_s
    look_s = looks * period_s
    nodes = [
        _judged(node, heartbeats.last_s(node.meta.name, look_s), timing, look_s, now_s)
        for node in snapshot.list(Node)
    ]
    if all(map(_is_well, nodes)):
        return [], (looks + 1) * period_s
    before = {node.meta.name: node for node in snapshot.list(Node)}
    allowed = frozenset(_evictable(nodes, now_s))
    writes: list[Write] = []
    lost: set[str] = set()
    for node in nodes:
        after = replace(node, taints=_taints(node, allowed, now_s))
        if after != before[node.meta.name]:
            writes.append(Update(after))
        if _has_failed(after):
            lost.add(after.meta.name)
    if lost:
        writes += [Update(_not_ready(pod, now_s)) for pod in _ready_pods(snapshot, lost)]
    return writes, (looks + 1) * period_s


def _judged(
    node: Node, last_s: float | None, timing: NodeTiming, look_s: float, now_s: float
) -> Node:
    if last_s is None or node.unreachable or look_s - last_s <= timing.monitor_grace_period_s:
        return node
    if node.ready and (node.ready_changed_s or 0.0) > look_s:
        return node  # it has said so since that look
    return replace(node, ready=False, unreachable=True, ready_changed_s=now_s)


def _has_failed(node: Node) -> bool:
    """Whether it is not ready, having been so: one that has not begun yet has nothing to lose."""
    return node.unreachable or (not node.ready and node.ready_changed_s is not None)


def _is_well(node: Node) -> bool:
    """Whether nothing has to be said of it: a thousand such nodes are to cost little."""
    marked = node.taints and any(taint.key in _OURS for taint in node.taints)
    return not (node.unschedulable or marked or _has_failed(node))


def _trouble(node: Node) -> str:
    """The key of the taint that says what is wrong with it; "": nothing is."""
    if not _has_failed(node):
        return ""
    return UNREACHABLE if node.unreachable else NOT_READY


def _taints(node: Node, allowed: frozenset[str], now_s: float) -> tuple[Taint, ...]:
    """The node's taints: other people's, and those of its present state."""
    trouble = _trouble(node)
    wanted = [(trouble, NO_SCHEDULE)] if trouble else []
    if node.unschedulable:
        wanted.append((UNSCHEDULABLE, NO_SCHEDULE))
    if node.meta.name in allowed:
        wanted.append((trouble, NO_EXECUTE))
    have = {(taint.key, taint.effect): taint for taint in node.taints}
    kept = [
        taint
        for taint in node.taints
        if taint.key not in _OURS or (taint.key, taint.effect) in wanted
    ]
    new = [Taint(key, effect, "", now_s) for key, effect in wanted if (key, effect) not in have]
    return (*kept, *new)


@dataclass(frozen=True, slots=True)
class _Zone:
    nodes: tuple[Node, ...]

    @property
    def failed(self) -> list[Node]:
        return [node for node in self.nodes if _has_failed(node)]

    @property
    def fully_disrupted(self) -> bool:
        return len(self.failed) == len(self.nodes)

    @property
    def period_s(self) -> float:
        """Between two of its nodes whose pods are to go."""
        failed, all_nodes = len(self.failed), len(self.nodes)
        if self.fully_disrupted or failed <= 2 or failed / all_nodes < _UNHEALTHY_SHARE:
            return _EVICTION_PERIOD_S
        return _SECONDARY_PERIOD_S if all_nodes > _LARGE_ZONE else math.inf


def _evictable(nodes: Iterable[Node], now_s: float) -> Iterator[str]:
    """Nodes whose pods are to go: those that have been told so, and at most one more per zone. Where no node is
    ready, the fault is taken to be the control plane's own, and no pod goes.
    """
    by_zone: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        by_zone[node.meta.labels.get(ZONE_LABEL, "")].append(node)
    zones = [_Zone(tuple(found)) for found in by_zone.values()]
    if all(zone.fully_disrupted for zone in zones):
        return
    for zone in zones:
        latest_s = -math.inf
        waiting: list[Node] = []
        for node in zone.failed:
            told_s = _told_s(node)
            if told_s is None:
                waiting.append(node)
            else:
                yield node.meta.name
                latest_s = max(latest_s, told_s)
        if waiting and zone.period_s < math.inf and latest_s + zone.period_s <= now_s:
            yield min(
                waiting, key=lambda node: (node.ready_changed_s or 0.0, node.meta.name)
            ).meta.name


def _told_s(node: Node) -> float | None:
    """Since when its pods are to go; None: they are not."""
    times = [
        taint.added_s or 0.0
        for taint in node.taints
        if taint.effect == NO_EXECUTE and taint.key in _OURS
    ]
    return max(times, default=None)


def _ready_pods(snapshot: Snapshot, nodes: set[str]) -> Iterator[Pod]:
    for pod in snapshot.list(Pod):
        if pod.status.ready and pod.spec.node_name in nodes:
            yield pod


def _not_ready(pod: Pod, now_s: float) -> Pod:
    return replace(pod, status=replace(pod.status, ready=False, ready_changed_s=now_s))
