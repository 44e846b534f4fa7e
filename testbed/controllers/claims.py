"""Whose pods (and ReplicaSets) are whose: by controller, and by selector for those that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from immutables import Map

from testbed.controllers.pod_making import owned_by
from testbed.controllers.selection import regrouped
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import Object, OwnerReference, with_meta
from testbed.store import Key, Snapshot, Update, Write

T = TypeVar("T", bound=Object)
Group = tuple[str, str]
"""("", uid of the controller), or (namespace, "") of objects without one."""


@dataclass(frozen=True, slots=True)
class Owned:
    """The objects of one kind in one snapshot, by their controllers."""

    snapshot: Snapshot
    groups: Map[Group, frozenset[Key]]

    @classmethod
    def nothing(cls) -> Owned:
        """Of an empty cluster."""
        return cls(Snapshot(0, {}), Map())

    def following(self, kind: type[T], now: Snapshot) -> Owned:
        """The same of another snapshot."""
        changed = now.of(kind).changed_since(self.snapshot.of(kind))
        return Owned(now, regrouped(self.groups, changed, _group))

    def of(self, kind: type[T], group: Group) -> list[T]:
        """In order of creation."""
        return self.snapshot.of(kind).in_order(self.groups.get(group, ()))


def _group(item: Object) -> tuple[Group]:
    owner = item.meta.owner
    return ((item.meta.namespace, "") if owner is None else ("", owner.uid),)


def claimed(
    owner: Object, selector: LabelSelector, owned: Iterable[T], orphans: Iterable[T]
) -> tuple[list[T], list[Write]]:
    """The objects that `owner` has, and what releases those that its selector no longer matches and adopts
    orphans that it does.

    Source: pkg/controller/controller_ref_manager.go, ClaimObject.
    """
    mine: list[T] = []
    writes: list[Write] = []
    for item in owned:
        if selector.matches(item.meta.labels):
            mine.append(item)
        elif owner.meta.deletion_s is None and item.meta.deletion_s is None:
            writes.append(Update(with_meta(item, owners=_without(item, owner.meta.uid))))
    if owner.meta.deletion_s is not None:
        return mine, writes
    for item in orphans:
        if item.meta.deletion_s is None and selector.matches(item.meta.labels):
            adopted = with_meta(item, owners=(*item.meta.owners, owned_by(owner)))
            mine.append(adopted)
            writes.append(Update(adopted))
    return mine, writes


def _without(item: Object, uid: str) -> tuple[OwnerReference, ...]:
    return tuple(owner for owner in item.meta.owners if owner.uid != uid)


def owners_of(
    changed: Mapping[Key, tuple[T | None, T | None]],
    kind: str,
    adopters: Callable[[T], Iterable[Key]],
) -> set[Key]:
    """The owners, of that kind, of changed objects, then and now; those that may adopt one without owner."""
    found: set[Key] = set()
    for then, now in changed.values():
        if then is not None and now is not None and _nobody_elses(then, now):
            continue
        for item in filter(None, (then, now)):
            owner = item.meta.owner
            if owner is None:
                found.update(adopters(item))
            elif owner.kind == kind:
                found.add((item.meta.namespace, owner.name))
    return found


def _nobody_elses(then: Object, now: Object) -> bool:
    """Whether an object had and has no controller, and nobody has a reason to look at it anew."""
    before, after = then.meta, now.meta
    unowned = before.owner is None and after.owner is None
    return unowned and (before.labels, before.deletion_s) == (after.labels, after.deletion_s)
