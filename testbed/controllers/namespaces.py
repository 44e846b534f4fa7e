"""A namespace that is being deleted: all that is in it goes first.

Source: pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.controllers.decision import Decision
from testbed.controllers.object_deletion import deleted, removed
from testbed.model.documents import Namespace
from testbed.model.objects.metadata import Object
from testbed.store import Snapshot, Write

FINALIZER = "kubernetes"
"""In a namespace's `spec.finalizers`: the one that is ours."""

_LOOK_AGAIN_S = 0.1
"""While a namespace ends: changes of what is in it are not watched, as all other labs would pay for it."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Empties terminating namespaces, and removes those that are empty."""
    writes: list[Write] = []
    ending = [item for item in snapshot.list(Namespace) if item.meta.deletion_s is not None]
    for item in ending:
        inside = list(_inside(snapshot, item.meta.name))
        writes += [write for one in inside for write in deleted(one, now_s)]
        if not inside and not item.meta.finalizers and not _held(item):
            writes.append(removed(item))
    return writes, now_s + _LOOK_AGAIN_S if ending else None


def _inside(snapshot: Snapshot, namespace: str) -> Iterator[Object]:
    for table in snapshot.tables.values():
        for (where, _), item in table.items():
            if where == namespace:
                yield item


def _held(item: Namespace) -> bool:
    """Whether somebody else's finalizer keeps it."""
    return any(one != FINALIZER for one in item.body.get("spec", {}).get("finalizers", ()))
