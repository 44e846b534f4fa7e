"""Pods without a node -> the node that fits best; of each other pod, why none does.

Of the nodes that fit it takes those with the fewest taints that would rather not have the pod; of these those
that its preferred terms (of node and pod affinity) weigh most; of these those where it meets the fewest pods
that it should be spread from; then the one with the fewest pods, and the first by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.neighbours import Neighbourhood, minds, namespaces_of
from testbed.controllers.node_fit import (
    NO_FREE_PORTS,
    HostPort,
    clash,
    host_ports,
    obstacle,
    unwelcome,
)
from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.model.node_affinity import preference
from testbed.model.objects.metadata import Labels
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.shared_map import SharedMap
from testbed.store import Key, Snapshot, Update

_NAME = "default-scheduler"
_GATED = ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Binds every pod that fits somewhere.

    One pass: a pod bound earlier in it counts for those after it. `now_s` is not used: the result
    depends on the state alone.
    """
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last: which pods are where."""
    known = _Known()

    def following(snapshot: Snapshot, now_s: float) -> Decision:
        known.follow(snapshot)
        if not known.waiting:
            return [], None
        pass_ = _Pass(snapshot, known)
        decided = [(pod, pass_.scheduled(pod)) for pod in known.waiting.values()]
        return [Update(after) for pod, after in decided if after is not pod], None

    return following


class _Known:
    """The pods of a snapshot: those that wait, and those that are on nodes."""

    def __init__(self) -> None:
        self._pods: SharedMap[Key, Pod] = SharedMap()
        self.waiting: dict[Key, Pod] = {}
        self.placed: dict[Key, Pod] = {}
        self.load: Counter[str] = Counter()
        self.with_ports: dict[Key, Pod] = {}
        self.anti: dict[Key, Pod] = {}
        """Placed pods that others may have to keep away from."""

    def follow(self, snapshot: Snapshot) -> None:
        now = snapshot.of(Pod)
        for key, (_, pod) in now.changed_since(self._pods).items():
            self._forget(key)
            if pod is not None and pod.status.phase not in TERMINAL_PHASES:
                self._learn(key, pod)
        self._pods = now

    def _forget(self, key: Key) -> None:
        self.waiting.pop(key, None)
        self.with_ports.pop(key, None)
        self.anti.pop(key, None)
        placed = self.placed.pop(key, None)
        if placed is not None:
            self.load[placed.spec.node_name] -= 1

    def _learn(self, key: Key, pod: Pod) -> None:
        if not pod.spec.node_name:
            if pod.meta.deletion_s is None and _is_ours(pod):
                self.waiting[key] = pod
            return
        self.placed[key] = pod
        self.load[pod.spec.node_name] += 1
        if host_ports(pod):
            self.with_ports[key] = pod
        if pod.spec.pod_anti_affinity is not None:
            self.anti[key] = pod


def _is_ours(pod: Pod) -> bool:
    """Whether no other scheduler is named."""
    spec = pod.meta.rest.get("spec")
    name = spec.get("schedulerName") if isinstance(spec, Mapping) else None
    return name in (None, "", _NAME)


@dataclass(slots=True)
class _Alike:
    """What nodes are to pods that ask the same of them."""

    obstacles: dict[str, str]
    ranks: dict[str, tuple[int, int]]
    """Of those without any: how unwelcome the pods are there, and how little they want to be."""
    _by_load: list[tuple[int, int, int, str]] | None = None

    def emptiest(self, load: Counter[str]) -> str:
        """The best of them: by rank, then by load, then by name. Loads only grow between two calls."""
        if self._by_load is None:
            self._by_load = [(*rank, load[name], name) for name, rank in self.ranks.items()]
            heapify(self._by_load)
        while True:
            unwelcome, unwanted, then, name = self._by_load[0]
            if then == load[name]:
                return name
            heapreplace(self._by_load, (unwelcome, unwanted, load[name], name))


class _Pass:
    """One look at all pods that wait; what is bound in it counts."""

    def __init__(self, snapshot: Snapshot, known: _Known) -> None:
        ranked = sorted(snapshot.list(Node), key=lambda node: node.meta.name)
        self._nodes = {node.meta.name: node for node in ranked}
        self._load = Counter(known.load)
        self._placed = list(known.placed.values())
        self._anti = list(known.anti.values())
        self._ports: dict[str, list[HostPort]] = {}
        for pod in known.with_ports.values():
            self._ports.setdefault(pod.spec.node_name, []).extend(host_ports(pod))
        self._namespaces: dict[str, Labels] = namespaces_of(snapshot)
        self._alike: dict[Hashable, _Alike] = {}

    def scheduled(self, pod: Pod) -> Pod:
        """The pod bound to its node, or marked as unschedulable; the same object when that is no news."""
        if pod.spec.scheduling_gates:
            return _marked(pod, *_GATED)
        alike = self._of_spec(pod.spec)
        obstacles, ranks = alike.obstacles, alike.ranks
        fitting: Iterable[str] = ranks
        neighbourhood = self._neighbourhood(pod)
        ports = host_ports(pod)
        if neighbourhood is not None or ports:
            obstacles = self._also(obstacles, neighbourhood, ports)
            fitting = [name for name in ranks if name not in obstacles]
        if not fitting:
            return _marked(pod, "Unschedulable", _why_not(self._nodes, obstacles))
        if fitting is ranks and neighbourhood is None:
            best = alike.emptiest(self._load)
        else:
            best = self._best(fitting, ranks, neighbourhood)
        bound = replace(
            pod,
            spec=replace(pod.spec, node_name=best),
            status=replace(pod.status, scheduled=True, reason="", message=""),
        )
        self._note(bound, ports)
        return bound

    def _of_spec(self, spec: PodSpec) -> _Alike:
        """What holds for all pods that ask the same of nodes, as those of one template do."""
        asks = (frozenset(spec.node_selector.items()), spec.node_affinity, spec.tolerations)
        found = self._alike.get(asks)
        if found is None:
            obstacles = {name: obstacle(spec, node) for name, node in self._nodes.items()}
            ranks = {
                name: (unwelcome(spec, node), -preference(spec, node))
                for name, node in self._nodes.items()
                if not obstacles[name]
            }
            found = _Alike({name: why for name, why in obstacles.items() if why}, ranks)
            self._alike[asks] = found
        return found

    def _neighbourhood(self, pod: Pod) -> Neighbourhood | None:
        if minds(pod):
            return Neighbourhood(pod, self._nodes, self._placed, self._namespaces)
        # Its own wishes apart, only those matter that must not have it near.
        return Neighbourhood(pod, self._nodes, self._anti, self._namespaces) if self._anti else None

    def _also(
        self, obstacles: dict[str, str], around: Neighbourhood | None, ports: list[HostPort]
    ) -> dict[str, str]:
        taken = {name: NO_FREE_PORTS for name, there in self._ports.items() if clash(ports, there)}
        return {**(around.obstacles() if around else {}), **taken, **obstacles}

    def _best(
        self,
        fitting: Iterable[str],
        ranks: Mapping[str, tuple[int, int]],
        around: Neighbourhood | None,
    ) -> str:
        load = self._load
        # min() keeps the first of equals, and the nodes are sorted by name.
        if around is None:
            return min(fitting, key=lambda name: (*ranks[name], 0, load[name]))
        wishes, crowds = around.preferences(), around.crowds()
        return min(
            fitting,
            key=lambda name: (
                ranks[name][0],
                ranks[name][1] - wishes[name],
                crowds[name],
                load[name],
            ),
        )

    def _note(self, pod: Pod, ports: list[HostPort]) -> None:
        name = pod.spec.node_name
        self._load[name] += 1
        self._placed.append(pod)
        if ports:
            self._ports.setdefault(name, []).extend(ports)
        if pod.spec.pod_anti_affinity is not None:
            self._anti.append(pod)


def _marked(pod: Pod, reason: str, message: str) -> Pod:
    if (pod.status.reason, pod.status.message) == (reason, message):
        return pod
    return replace(pod, status=replace(pod.status, reason=reason, message=message))


def _why_not(nodes: Mapping[str, Node], obstacles: Mapping[str, str]) -> str:
    """kube-scheduler's FitError message."""
    if not nodes:
        return "no nodes available to schedule pods"
    counts = Counter(obstacles[name] for name in nodes)
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{len(nodes)} nodes are available: {reasons}."
