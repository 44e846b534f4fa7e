"""The kubelet of all fake nodes at once: nothing runs there, and it says that everything is well.

As kwok does: a node becomes ready; a pod that is bound gets an address of its node's range, runs and is ready;
a pod that is being deleted goes. What somebody else says of a pod that has been started stays said.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from ipaddress import ip_address, ip_network

from testbed.controllers.decision import Controller, Decision, Reconcile
from testbed.controllers.fake_ranges import Ranges, completed
from testbed.controllers.pod_deletion import TERMINAL_PHASES, ended
from testbed.ip import IPNetwork
from testbed.model.fakes import is_fake
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import ContainerStatus, Pod, PodStatus
from testbed.store import Key, Snapshot, Update, Write

NO_RANGES = Ranges()
AT_ONCE = 2_000
"""Pods written in one transaction, so that a hundred thousand of them let others work in between."""


@dataclass(frozen=True, slots=True)
class FakeDelays:
    """What passes from a fake pod's creation until it is ready, and from its deletion until it is gone."""

    start_s: float = 0.0
    stop_s: float = 0.0


def controller(delays: FakeDelays, ranges: Ranges) -> Controller:
    """It, for one who asks again and again."""
    begin = partial(remembering, delays, ranges)
    anew = partial(reconcile, delays, ranges=ranges)
    return Controller("fake-kubelet", (Node, Pod), anew, begin).begun()


def reconcile(
    delays: FakeDelays, snapshot: Snapshot, now_s: float, ranges: Ranges = NO_RANGES
) -> Decision:
    """What fake nodes and their pods become now. Pods of real nodes are left alone."""
    return remembering(delays, ranges)(snapshot, now_s)


def remembering(delays: FakeDelays, ranges: Ranges = NO_RANGES) -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last: one that follows costs what changed."""
    known = _Known(delays)

    def following(snapshot: Snapshot, now_s: float) -> Decision:
        known.follow(snapshot)
        to_do = completed(known.nodes_to_do(), snapshot.list(Node), ranges)
        nodes = [_ready(node, now_s) for node in to_do]
        pods, wake_at_s = _pods(known, now_s)
        return [*nodes, *pods], wake_at_s

    return following


class _Known:
    """The last snapshot, and what is not as it should be in it: whether a write succeeds is not known here."""

    def __init__(self, delays: FakeDelays) -> None:
        self.snapshot = Snapshot(0, {})
        self.used: dict[str, set[int]] = {}
        """Node -> its pods' addresses of the primary family."""
        self._delays = delays
        self._nodes: set[Key] = set()
        self._due: dict[Key, float] = {}
        """Pods for which something is to be done, and when."""
        self._queue: list[tuple[float, Key]] = []
        """A heap of these, among what has been true before."""

    def follow(self, now: Snapshot) -> None:
        """Take another snapshot over."""
        then, self.snapshot = self.snapshot, now
        nodes = now.of(Node).changed_since(then.of(Node))
        pods = now.of(Pod).changed_since(then.of(Pod))
        turned = {key[1] for key, (old, new) in nodes.items() if _faked(new) != _faked(old)}
        touched = set(pods)
        if turned:
            touched |= {key for key, pod in now.of(Pod).items() if pod.spec.node_name in turned}
        for old, _ in pods.values():
            self._addresses(old, set.discard)
        for _, new in pods.values():
            self._addresses(new, set.add)
        self._nodes.update(nodes)
        for key in touched:
            self._look_at(key)

    def nodes_to_do(self) -> list[Node]:
        """Fake nodes that are not ready."""
        nodes = self.snapshot.of(Node)
        here = [nodes[key] for key in sorted(self._nodes) if key in nodes]
        found = [node for node in here if is_fake(node) and not node.ready]
        self._nodes = {("", node.meta.name) for node in found}
        return found

    def due(self, now_s: float) -> Generator[Pod, None, None]:
        """Pods for which something is to be done by now, in the order of when, then by name. They stay."""
        seen: list[tuple[float, Key]] = []
        try:
            while self._queue and self._queue[0][0] <= now_s:
                due_s, key = one = heappop(self._queue)
                if self._due.get(key) == due_s and (not seen or seen[-1] != one):
                    seen.append(one)
                    yield self.snapshot.of(Pod)[key]
        finally:
            for one in seen:
                heappush(self._queue, one)

    def next_after(self, now_s: float) -> float | None:
        """When something will be due that is not yet."""
        return min((due_s for due_s in self._due.values() if due_s > now_s), default=None)

    def _look_at(self, key: Key) -> None:
        pod = self.snapshot.of(Pod).get(key)
        on_fake = pod is not None and _faked(self.snapshot.of(Node).get(("", pod.spec.node_name)))
        due_s = _due_s(pod, self._delays) if pod is not None and on_fake else None
        if due_s is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_s:
            self._due[key] = due_s
            heappush(self._queue, (due_s, key))

    def _addresses(self, pod: Pod | None, change: Callable[[set[int], int], None]) -> None:
        if pod is not None and pod.status.pod_ips:
            used = self.used.setdefault(pod.spec.node_name, set())
            change(used, int(ip_address(pod.status.pod_ips[0])))


def _faked(node: Node | None) -> bool:
    return node is not None and is_fake(node)


def _ready(node: Node, now_s: float) -> Write:
    return Update(replace(node, ready=True, ready_changed_s=now_s))


def _due_s(pod: Pod, delays: FakeDelays) -> float | None:
    """When this pod is to be started, or to go; None: it is as it should be."""
    if pod.meta.deletion_s is not None:
        grace_s = pod.meta.deletion_grace_period_s
        if pod.meta.finalizers and grace_s == 0:
            return None  # it has ended; whoever takes the last finalizer off removes it
        stop_s = delays.stop_s if grace_s is None else min(delays.stop_s, grace_s)
        return pod.meta.deletion_s + stop_s
    if pod.status.phase in TERMINAL_PHASES:
        return None
    if pod.status.pod_ips:
        gated = bool(pod.spec.readiness_gates) and pod.status.ready != _gates_open(pod)
        return 0.0 if gated else None
    return pod.meta.creation_s + delays.start_s


def _pods(known: _Known, now_s: float) -> tuple[list[Write], float | None]:
    free: dict[str, Iterator[tuple[str, ...]]] = {}
    writes: list[Write] = []
    with closing(known.due(now_s)) as due:
        for pod in due:
            if len(writes) == AT_ONCE:
                return writes, now_s
            writes += _write(known, pod, free, now_s)
    return writes, known.next_after(now_s)


def _write(
    known: _Known, pod: Pod, free: dict[str, Iterator[tuple[str, ...]]], now_s: float
) -> list[Write]:
    """What is to be done about a pod that is due; `free` are the addresses that each node has left."""
    if pod.meta.deletion_s is not None:
        return [ended(pod, now_s)]
    if pod.status.pod_ips:
        return [Update(replace(pod, status=_with_ready(pod, now_s)))]
    node = known.snapshot.of(Node)["", pod.spec.node_name]
    name = node.meta.name
    if name not in free:
        free[name] = _free(list(map(ip_network, node.pod_cidrs)), known.used.get(name, set()))
    ips = node.internal_ips if pod.spec.host_network else next(free[name], ())
    started = _started(pod, node, ips, now_s)
    return [Update(started)] if started != pod else []


def _free(networks: Sequence[IPNetwork], used: AbstractSet[int]) -> Iterator[tuple[str, ...]]:
    """Addresses of a node's ranges that no pod has, the lowest first; its first and last one stay unused."""
    bases = [(type(one.network_address), int(one.network_address)) for one in networks]
    for offset in range(2, min((one.num_addresses - 1 for one in networks), default=0)):
        if bases[0][1] + offset not in used:
            yield tuple(str(address(base + offset)) for address, base in bases)


def _started(pod: Pod, node: Node, ips: tuple[str, ...], now_s: float) -> Pod:
    if not ips:
        message = f"no address is left in the range of node {node.meta.name}"
        status = replace(pod.status, reason="FailedCreatePodSandBox", message=message)
        return replace(pod, status=status)
    status = replace(_running(pod, now_s), pod_ips=ips, host_ips=node.internal_ips)
    return replace(pod, status=status)


def _gates_open(pod: Pod) -> bool:
    """Whether every readiness gate's condition holds; somebody else writes those."""
    holding = {one.type for one in pod.status.conditions if one.status == "True"}
    return holding.issuperset(pod.spec.readiness_gates)


def _with_ready(pod: Pod, now_s: float) -> PodStatus:
    return replace(pod.status, ready=_gates_open(pod), ready_changed_s=now_s)


def _running(pod: Pod, now_s: float) -> PodStatus:
    containers = (
        ContainerStatus(one.name, ready=True, state="running", started_s=now_s)
        for one in pod.spec.containers
    )
    return replace(
        _with_ready(pod, now_s),
        phase="Running",
        started_s=now_s,
        scheduled=True,
        reason="",
        message="",
        containers=tuple(containers),
    )
