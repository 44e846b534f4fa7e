"""Objects whose owners are gone, or are to go with them: Kubernetes' garbage collector.

Source: pkg/controller/garbagecollector/garbagecollector.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from immutables import Map

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import following
from testbed.controllers.object_deletion import FOREGROUND, ORPHAN, deleted, without_finalizer
from testbed.controllers.selection import regrouped
from testbed.model.manifest import API_VERSIONS
from testbed.model.objects.metadata import Object, OwnerReference, with_meta
from testbed.shared_map import SharedMap
from testbed.store import Snapshot, Update, Write

Place = tuple[str, str, str]
"""(kind, namespace, name)."""
_Dependents = Map[str, frozenset[Place]]
"""By the uid of their owner."""
_NOTHING: SharedMap[tuple[str, str], Object] = SharedMap()


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Deletes what nobody owns any more; sees foreground deletions and orphanings through."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    dependents: _Dependents = Map()

    def touched(then: Snapshot, now: Snapshot) -> set[Place]:
        nonlocal dependents
        found: set[Place] = set()
        for changed in _changed(then, now):
            dependents = regrouped(dependents, changed, _owner_uids)
            for place, (old, new) in changed.items():
                found |= _concerned(place, old, new, dependents)
        return found

    def decide(now: Snapshot, place: Place, now_s: float) -> Decision:
        item = _at(now, place)
        if item is None:
            return [], None
        mine = [
            found
            for one in sorted(dependents.get(item.meta.uid, ()))
            if (found := _at(now, one)) is not None
        ]
        if item.meta.deletion_s is not None:
            return _ending(item, mine, now_s), None
        return _judged(now, item, mine, now_s), None

    return following(touched, decide)


def _changed(
    then: Snapshot, now: Snapshot
) -> Iterator[dict[Place, tuple[Object | None, Object | None]]]:
    """What has changed of each kind, but for changes that no owner and no dependent minds."""
    for kind, table in now.tables.items():
        before = then.tables.get(kind, _NOTHING)
        if before is table:
            continue
        yield {
            (kind, *key): pair
            for key, pair in table.changed_since(before).items()
            if not _the_same_to_us(*pair)
        }


def _the_same_to_us(old: Object | None, new: Object | None) -> bool:
    if old is None or new is None:
        return False
    before, after = old.meta, new.meta
    return (
        before.uid == after.uid
        and before.owners is after.owners
        and (before.deletion_s is None) == (after.deletion_s is None)
        and before.finalizers == after.finalizers
    )


def _owner_uids(item: Object) -> list[str]:
    return [owner.uid for owner in item.meta.owners]


def _concerned(
    place: Place, old: Object | None, new: Object | None, dependents: Mapping[str, frozenset[Place]]
) -> set[Place]:
    """Itself, where it has owners or ends; what it owns, when it ends; its owners, when it has ended."""
    found: set[Place] = set()
    if new is not None and (new.meta.owners or new.meta.deletion_s is not None):
        found.add(place)
    if old is not None and (new is None or new.meta.uid != old.meta.uid or new.meta.deletion_s):
        found |= dependents.get(old.meta.uid, frozenset())
    if old is not None and new is not old:
        for owner in old.meta.owners:
            found |= {(owner.kind, "", owner.name), (owner.kind, old.meta.namespace, owner.name)}
    return found


def _at(snapshot: Snapshot, place: Place) -> Object | None:
    kind, namespace, name = place
    return snapshot.tables.get(kind, _NOTHING).get((namespace, name))


def _ending(item: Object, dependents: list[Object], now_s: float) -> list[Write]:
    """An owner that is being deleted with its dependents, or leaves them behind."""
    if ORPHAN in item.meta.finalizers:
        left: list[Write] = [Update(_disowned(one, {item.meta.uid})) for one in dependents]
        return left or [without_finalizer(item, ORPHAN)]
    if FOREGROUND in item.meta.finalizers:
        blocking = [one for one in dependents if _blocks(one, item.meta.uid)]
        if not blocking:
            return [without_finalizer(item, FOREGROUND)]
    return []


def _blocks(dependent: Object, uid: str) -> bool:
    return any(owner.uid == uid and owner.block_owner_deletion for owner in dependent.meta.owners)


def _judged(
    snapshot: Snapshot, item: Object, dependents: list[Object], now_s: float
) -> list[Write]:
    """Whether an object that is not being deleted should be, for want of owners."""
    gone: set[str] = set()
    waiting: set[str] = set()
    solid = not item.meta.owners
    for owner in item.meta.owners:
        found = _owner(snapshot, item, owner)
        if owner.kind not in API_VERSIONS:
            solid = True  # of a kind that is not stored here: nobody can say that it is gone
        elif found is None:
            gone.add(owner.uid)
        elif found.meta.deletion_s is not None and FOREGROUND in found.meta.finalizers:
            waiting.add(owner.uid)
        else:
            solid = True
    if solid:
        return [Update(_disowned(item, gone | waiting))] if gone or waiting else []
    if waiting and dependents:
        # Its owner waits for it: it waits for its own dependents.
        finalizers = (*item.meta.finalizers, FOREGROUND)
        return [Update(with_meta(item, deletion_s=now_s, finalizers=finalizers))]
    return deleted(item, now_s)


def _owner(snapshot: Snapshot, item: Object, owner: OwnerReference) -> Object | None:
    """The owner as it is now; None where it is gone, though a namesake may be there."""
    for namespace in (item.meta.namespace, ""):
        found = _at(snapshot, (owner.kind, namespace, owner.name))
        if found is not None and found.meta.uid == owner.uid:
            return found
    return None


def _disowned(item: Object, uids: set[str]) -> Object:
    """The same object without these owners."""
    return with_meta(
        item, owners=tuple(owner for owner in item.meta.owners if owner.uid not in uids)
    )
