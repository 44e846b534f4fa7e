"""DaemonSet -> a pod on every node that takes it, replaced node by node when its template changes.

Source: pkg/controller/daemon/daemon_controller.go and update.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from testbed.controllers.availability import available_at_s
from testbed.controllers.claims import Owned, claimed, owners_of
from testbed.controllers.daemon_nodes import continues, pinned_node, runs, spec_for
from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.deployment_numbers import count_of
from testbed.controllers.following import following
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_deletion import TERMINAL_PHASES, deletion
from testbed.controllers.pod_making import pod_of, template_rest
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import DaemonSet, DaemonSetStatus
from testbed.store import Create, Key, Snapshot, Update

HASH_LABEL = "controller-revision-hash"
"""On its pods: which template they are of."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates, deletes and replaces pods; keeps the status."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    pods = Owned.nothing()

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        nonlocal pods
        pods = pods.following(Pod, now)
        if _nodes_differ(then, now):
            return set(now.of(DaemonSet))
        changed = now.of(Pod).changed_since(then.of(Pod))
        own = now.of(DaemonSet).changed_since(then.of(DaemonSet))
        return set(own) | owners_of(changed, DaemonSet.kind, lambda pod: _adopters(now, pod))

    def decide(now: Snapshot, key: Key, now_s: float) -> Decision:
        found = now.get(DaemonSet, *key)
        return ([], None) if found is None else _reconcile_one(found, pods, now_s)

    return following(touched, decide)


def _adopters(snapshot: Snapshot, pod: Pod) -> Iterator[Key]:
    for item in snapshot.list(DaemonSet, pod.meta.namespace):
        if item.selector.matches(pod.meta.labels):
            yield item.meta.namespace, item.meta.name


def _nodes_differ(then: Snapshot, now: Snapshot) -> bool:
    """Whether another node may be meant."""
    return any(
        old is None
        or new is None
        or (old.meta.labels, old.taints, old.unschedulable)
        != (new.meta.labels, new.taints, new.unschedulable)
        for old, new in now.of(Node).changed_since(then.of(Node)).values()
    )


@dataclass(frozen=True, slots=True)
class _OnNode:
    """What a DaemonSet has on one node: its pods there, those of the present template apart."""

    node: Node
    new: tuple[Pod, ...]
    old: tuple[Pod, ...]
    ending: bool
    """One of its pods there is being deleted: its place is not free yet."""


class _Daemon:
    """One DaemonSet, its pods, and the time."""

    def __init__(self, item: DaemonSet, pods: list[Pod], nodes: list[Node], now_s: float) -> None:
        self.item = item
        self.now_s = now_s
        self.hash = name_hash([item.template, template_rest(item)], 10)
        self.by_node: dict[str, list[Pod]] = {}
        for pod in pods:
            self.by_node.setdefault(pod.spec.node_name or pinned_node(pod.spec), []).append(pod)
        self.nodes = nodes
        self.wanted = [self._on(node) for node in nodes if runs(item, node)]
        self.wakes: list[float] = []

    def _on(self, node: Node) -> _OnNode:
        here = self.by_node.get(node.meta.name, [])
        alive = [pod for pod in here if pod.meta.deletion_s is None]
        alive = [pod for pod in alive if pod.status.phase not in TERMINAL_PHASES]
        new = tuple(pod for pod in alive if self.is_new(pod))
        old = tuple(pod for pod in alive if not self.is_new(pod))
        return _OnNode(node, new, old, any(pod.meta.deletion_s is not None for pod in here))

    def is_new(self, pod: Pod) -> bool:
        return pod.meta.labels.get(HASH_LABEL) == self.hash

    def is_available(self, pod: Pod) -> bool:
        at_s = available_at_s(pod, self.item.min_ready_s)
        if at_s is not None and at_s > self.now_s:
            self.wakes.append(at_s)
        return at_s is not None and at_s <= self.now_s

    def any_available(self, pods: tuple[Pod, ...]) -> bool:
        return any(self.is_available(pod) for pod in pods)


def _reconcile_one(item: DaemonSet, pods: Owned, now_s: float) -> Decision:
    snapshot = pods.snapshot
    owned = pods.of(Pod, ("", item.meta.uid))
    orphans = pods.of(Pod, (item.meta.namespace, ""))
    mine, writes = claimed(item, item.selector, owned, orphans)
    nodes = sorted(snapshot.list(Node), key=lambda node: node.meta.name)
    daemon = _Daemon(item, mine, nodes, now_s)
    if item.meta.deletion_s is None:
        replaced, surging = _replacement(daemon)
        gone = {pod.meta.uid: pod for pod in (*_misplaced(daemon), *replaced)}
        writes += [deletion(pod, now_s) for pod in gone.values()]
        empty = [
            here.node for here in daemon.wanted if not here.new and not here.old and not here.ending
        ]
        names = _free_names(item, snapshot)
        writes += [Create(_pod(daemon, node, next(names))) for node in (*empty, *surging)]
    status = _status(daemon)
    if status != item.status:
        writes.append(Update(replace(item, status=status)))
    return writes, min(daemon.wakes, default=None)


def _misplaced(daemon: _Daemon) -> Iterator[Pod]:
    """Pods where none should be, one too many on a node, or ended: the node gets another."""
    nodes = {node.meta.name: node for node in daemon.nodes}
    for name, pods in daemon.by_node.items():
        alive = [pod for pod in pods if pod.meta.deletion_s is None]
        node = nodes.get(name)
        if node is not None and not continues(daemon.item, node):
            yield from alive
            continue
        yield from (pod for pod in alive if pod.status.phase in TERMINAL_PHASES)
        for same in (True, False):
            running = [
                pod
                for pod in alive
                if daemon.is_new(pod) is same and pod.status.phase not in TERMINAL_PHASES
            ]
            yield from sorted(
                running, key=lambda pod: (not pod.spec.node_name, pod.meta.creation_s)
            )[1:]


def _replacement(daemon: _Daemon) -> tuple[list[Pod], list[Node]]:
    """Pods of an old template to delete now, and nodes that get a new one beside it."""
    strategy = daemon.item.strategy
    if strategy.type != "RollingUpdate":
        return [], []
    total = len(daemon.wanted)
    surge = count_of(strategy.rolling_update.max_surge, total, up=True)
    if surge:
        return _surged(daemon, surge)
    unavailable = count_of(strategy.rolling_update.max_unavailable, total, up=True)
    return _in_place(daemon, max(1, unavailable)), []


def _in_place(daemon: _Daemon, max_unavailable: int) -> list[Pod]:
    """Those that serve nobody, and as many others as may be unavailable."""
    idle: list[Pod] = []
    serving: list[Pod] = []
    unavailable = 0
    for here in daemon.wanted:
        if here.old and not here.new:
            if daemon.any_available(here.old):
                serving += here.old
            else:
                idle += here.old
                unavailable += 1
        elif not here.new or here.old or not daemon.any_available(here.new):
            unavailable += 1
    return [*idle, *serving[: max(0, max_unavailable - unavailable)]]


def _surged(daemon: _Daemon, max_surge: int) -> tuple[list[Pod], list[Node]]:
    """Old ones whose successor is available; nodes that get a successor: those whose old one serves nobody,
    and as many others as the surge allows.
    """
    going: list[Pod] = []
    idle: list[Node] = []
    waiting: list[Node] = []
    surging = 0
    for here in daemon.wanted:
        if not here.old:
            continue
        if here.new:
            if daemon.any_available(here.new):
                going += here.old
            else:
                surging += 1
        elif daemon.any_available(here.old):
            waiting.append(here.node)
        else:
            idle.append(here.node)
    return going, [*idle, *waiting[: max(0, max_surge - surging)]]


def _pod(daemon: _Daemon, node: Node, name: str) -> Pod:
    made = pod_of(daemon.item, daemon.item.template, name)
    made = with_meta(made, labels={**made.meta.labels, HASH_LABEL: daemon.hash})
    return replace(made, spec=spec_for(daemon.item, node.meta.name))


def _status(daemon: _Daemon) -> DaemonSetStatus:
    """Source: updateDaemonSetStatus."""
    wanted = {here.node.meta.name for here in daemon.wanted}
    first = [(*here.new, *here.old)[0] for here in daemon.wanted if here.new or here.old]
    available = sum([daemon.is_available(pod) for pod in first])
    return DaemonSetStatus(
        observed_generation=daemon.item.meta.generation,
        current_number_scheduled=len(first),
        number_misscheduled=sum(
            name not in wanted and any(pod.meta.deletion_s is None for pod in pods)
            for name, pods in daemon.by_node.items()
        ),
        desired_number_scheduled=len(daemon.wanted),
        number_ready=sum(pod.status.ready for pod in first),
        updated_number_scheduled=sum(bool(here.new) for here in daemon.wanted),
        number_available=available,
        number_unavailable=len(daemon.wanted) - available,
    )


def _free_names(item: DaemonSet, snapshot: Snapshot) -> Iterator[str]:
    seed = [item.meta.uid, snapshot.resource_version]
    for index in count():
        name = f"{item.meta.name}-{name_hash([*seed, index], 5)}"
        if (item.meta.namespace, name) not in snapshot.of(Pod):
            yield name
