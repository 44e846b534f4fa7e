"""ReplicaSet -> Pods: as many as asked for, replaced when they are lost.

Source: pkg/controller/replicaset/replica_set.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

from testbed.controllers.availability import availability, is_active
from testbed.controllers.claims import Owned, claimed, owners_of
from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.deletion_order import first_to_go
from testbed.controllers.following import following
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_deletion import deletion
from testbed.controllers.pod_making import pod_of
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import ORDINAL_NAMES_ANNOTATION, ReplicaSet, ReplicaSetStatus
from testbed.store import Create, Key, Snapshot, Update


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates what is missing, deletes what is too many, adopts and releases; keeps the status."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    pods, sets = Owned.nothing(), Owned.nothing()

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        nonlocal pods, sets
        pods, sets = pods.following(Pod, now), sets.following(ReplicaSet, now)
        changed = now.of(Pod).changed_since(then.of(Pod))
        own = now.of(ReplicaSet).changed_since(then.of(ReplicaSet))
        return set(own) | owners_of(changed, ReplicaSet.kind, lambda pod: _adopters(now, pod))

    def decide(now: Snapshot, key: Key, now_s: float) -> Decision:
        found = now.get(ReplicaSet, *key)
        return ([], None) if found is None else _reconcile_one(found, pods, sets, now_s)

    return following(touched, decide)


def _adopters(snapshot: Snapshot, pod: Pod) -> Iterator[Key]:
    for item in snapshot.list(ReplicaSet, pod.meta.namespace):
        if item.selector.matches(pod.meta.labels):
            yield item.meta.namespace, item.meta.name


def _reconcile_one(item: ReplicaSet, pods: Owned, sets: Owned, now_s: float) -> Decision:
    owned = [pod for pod in pods.of(Pod, ("", item.meta.uid)) if is_active(pod)]
    orphans = [pod for pod in pods.of(Pod, (item.meta.namespace, "")) if is_active(pod)]
    mine, writes = claimed(item, item.selector, owned, orphans)
    if item.meta.deletion_s is None:
        too_many = len(mine) - item.replicas
        if too_many < 0:
            names = islice(_free_names(item, pods.snapshot), -too_many)
            writes += [Create(pod_of(item, item.template, name)) for name in names]
        elif too_many:
            going = first_to_go(mine, _related(item, pods, sets))[:too_many]
            writes += [deletion(pod, now_s) for pod in going]
    found = availability(mine, item.min_ready_s, now_s)
    status = ReplicaSetStatus(
        observed_generation=item.meta.generation,
        replicas=len(mine),
        fully_labeled_replicas=_fully_labelled(item, mine),
        ready_replicas=found.ready,
        available_replicas=found.available,
        conditions=item.status.conditions,
    )
    if status != item.status:
        writes.append(Update(replace(item, status=status)))
    return writes, found.wake_at_s


def _fully_labelled(item: ReplicaSet, pods: Sequence[Pod]) -> int:
    wanted = item.template.labels.items()
    return sum(wanted <= pod.meta.labels.items() for pod in pods)


def _related(item: ReplicaSet, pods: Owned, sets: Owned) -> list[Pod]:
    """The pods of all ReplicaSets that its controller has: which nodes they crowd."""
    owner = item.meta.owner
    siblings = [item] if owner is None else sets.of(ReplicaSet, ("", owner.uid))
    return [
        pod
        for sibling in siblings
        for pod in pods.of(Pod, ("", sibling.meta.uid))
        if is_active(pod)
    ]


def _free_names(item: ReplicaSet, snapshot: Snapshot) -> Iterator[str]:
    """Names for new pods; ordinals are its Deployment's, the lowest free one first.

    A name by hash is never used again: whoever waits for the end of a pod by its name waits for that pod.
    """
    meta, taken = item.meta, snapshot.of(Pod)
    ordinal = meta.annotations.get(ORDINAL_NAMES_ANNOTATION) == "ordinal"
    base = meta.owner.name if ordinal and meta.owner else meta.name
    seed = [meta.uid, snapshot.resource_version]
    for index in count():
        name = f"{base}-{index if ordinal else name_hash([*seed, index], 5)}"
        if (meta.namespace, name) not in taken:
            yield name
