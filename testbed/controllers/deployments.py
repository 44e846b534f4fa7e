"""Deployment -> ReplicaSets: one of the present template, those before it as they are replaced or kept.

Source: pkg/controller/deployment: deployment_controller.go, rolling.go, recreate.go, sync.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.controllers import deployment_numbers as numbers
from testbed.controllers import deployment_revisions as revisions
from testbed.controllers import deployment_status as statuses
from testbed.controllers.claims import Owned, claimed, owners_of
from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.deployment_numbers import Sizes
from testbed.controllers.following import following
from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.model.objects.metadata import Condition, with_meta
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import Deployment, ReplicaSet
from testbed.store import Create, Key, Snapshot, Update, Write


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Makes and scales ReplicaSets, keeps their history and the Deployment's status."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    pods, sets = Owned.nothing(), Owned.nothing()

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        nonlocal pods, sets
        pods, sets = pods.following(Pod, now), sets.following(ReplicaSet, now)
        changed = now.of(ReplicaSet).changed_since(then.of(ReplicaSet))
        own = now.of(Deployment).changed_since(then.of(Deployment))
        owners = owners_of(changed, Deployment.kind, lambda item: _adopters(now, item))
        return set(own) | owners | set(_recreated(then, now))

    def decide(now: Snapshot, key: Key, now_s: float) -> Decision:
        found = now.get(Deployment, *key)
        if found is None:
            return [], None
        owned = sets.of(ReplicaSet, ("", found.meta.uid))
        orphans = sets.of(ReplicaSet, (found.meta.namespace, ""))
        mine, writes = claimed(found, found.selector, owned, orphans)
        if writes:  # adopted or released: what comes of it is decided when it is so
            return writes, None
        return _Rollout(found, *revisions.split(found, mine), pods, now_s).decision()

    return following(touched, decide)


def _adopters(snapshot: Snapshot, item: ReplicaSet) -> Iterator[Key]:
    for deployment in snapshot.list(Deployment, item.meta.namespace):
        if deployment.selector.matches(item.meta.labels):
            yield deployment.meta.namespace, deployment.meta.name


def _recreated(then: Snapshot, now: Snapshot) -> Iterator[Key]:
    """Deployments that wait for the last of their old pods, one of which has changed."""
    for old, _ in now.of(Pod).changed_since(then.of(Pod)).values():
        owner = old.meta.owner if old else None
        if old is None or owner is None or owner.kind != ReplicaSet.kind:
            continue
        item = now.get(ReplicaSet, old.meta.namespace, owner.name)
        above = item.meta.owner if item else None
        found = now.get(Deployment, old.meta.namespace, above.name) if above else None
        if found is not None and found.strategy.type == "Recreate":
            yield found.meta.namespace, found.meta.name


@dataclass(frozen=True, slots=True)
class _Rollout:
    """One Deployment, its ReplicaSet of the present template and the others, oldest first."""

    deployment: Deployment
    new: ReplicaSet | None
    old: Sequence[ReplicaSet]
    pods: Owned
    now_s: float

    def decision(self) -> Decision:
        deployment = self.deployment
        if deployment.meta.deletion_s is not None:
            return self._told([], progress=False)
        if deployment.paused:
            tidied = revisions.forgotten(deployment, self.old)
            return self._told([*self._resized(self._scaled()), *tidied], progress=False)
        active = [item for item in self._all() if item.replicas > 0]
        if numbers.is_scaling(deployment, active):
            return self._told(self._resized(self._scaled()), progress=False)
        if deployment.strategy.type == "Recreate":
            return self._recreate()
        return self._roll()

    def _all(self) -> list[ReplicaSet]:
        return [*self.old, *((self.new,) if self.new else ())]

    def _roll(self) -> Decision:
        if self.new is None:
            return self._begin()
        sizes = self._grown(self.new)
        if not sizes:
            sizes = numbers.scale_down(self.deployment, self.new, self.old)
        return self._told(self._resized(sizes), progress=True)

    def _recreate(self) -> Decision:
        sizes = {item.meta.name: 0 for item in self.old if item.replicas}
        if sizes or self._old_pods_run():
            return self._told(self._resized(sizes), progress=True)
        if self.new is None:
            return self._begin()
        return self._told(self._resized(self._grown(self.new)), progress=True)

    def _grown(self, new: ReplicaSet) -> Sizes:
        size = numbers.scale_up(self.deployment, new, self.old)
        return {} if size == new.replicas else {new.meta.name: size}

    def _old_pods_run(self) -> bool:
        return any(
            pod.status.phase not in TERMINAL_PHASES
            for item in self.old
            for pod in self.pods.of(Pod, ("", item.meta.uid))
        )

    def _begin(self) -> Decision:
        """Make the ReplicaSet of a template that has none."""
        size = numbers.scale_up(self.deployment, None, self.old)
        number = revisions.next_revision(self.old)
        made, collisions = revisions.made(self.deployment, size, number, self.pods.snapshot)
        message = f'Created new replica set "{made.meta.name}"'
        condition = Condition("Progressing", "True", "NewReplicaSetCreated", message)
        status = statuses.counted(self.deployment, None, self.old, self.now_s)
        conditions = statuses.with_condition(status.conditions, condition, self.now_s, again=True)
        after = replace(
            self.deployment,
            status=replace(status, conditions=conditions, collision_count=collisions),
        )
        after = with_meta(after, annotations=revisions.with_revision(self.deployment, number))
        return [Create(made), Update(after)], None

    def _scaled(self) -> Sizes:
        """What an order for more or fewer pods means for what is there."""
        deployment, all_sets = self.deployment, self._all()
        active = [item for item in all_sets if item.replicas > 0]
        if len(active) <= 1:
            newest = self.new or (self.old[-1] if self.old else None)
            only = active[0] if active else newest
            return {only.meta.name: deployment.replicas} if only is not None else {}
        if numbers.is_saturated(deployment, self.new):
            return {item.meta.name: 0 for item in self.old if item.replicas}
        if deployment.strategy.type == "RollingUpdate":
            return numbers.proportional(deployment, active)
        return {item.meta.name: item.replicas for item in active}

    def _resized(self, sizes: Sizes) -> list[Write]:
        """The ReplicaSets with their new sizes, the new one brought up to date."""
        writes: list[Write] = []
        for item in self._all():
            after = item
            if item is self.new:
                after = revisions.brought_up(self.deployment, item, self.old)
            if item.meta.name in sizes:
                annotations = {
                    **after.meta.annotations,
                    **revisions.sizes_annotated(self.deployment),
                }
                after = replace(
                    with_meta(after, annotations=annotations), replicas=sizes[item.meta.name]
                )
            if after != item:
                writes.append(Update(after))
        return writes

    def _told(self, writes: list[Write], *, progress: bool) -> Decision:
        """The writes, and the Deployment's status as far as it has changed."""
        deployment, wake_at_s = self.deployment, None
        status = statuses.counted(deployment, self.new, self.old, self.now_s)
        conditions = statuses.pause_noted(deployment, status.conditions, self.now_s)
        status = replace(status, conditions=conditions)
        if progress:
            status, wake_at_s = statuses.progressed(deployment, self.new, status, self.now_s)
            if not writes and statuses.is_complete(deployment, status):
                writes = [*writes, *revisions.forgotten(deployment, self.old)]
        after = replace(deployment, status=status)
        if self.new is not None:
            number = max(revisions.revision(self.new), revisions.next_revision(self.old))
            after = with_meta(after, annotations=revisions.with_revision(deployment, number))
        return ([*writes, Update(after)] if after != deployment else writes), wake_at_s
