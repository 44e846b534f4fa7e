"""How an object of any kind is deleted by a controller: what the API server turns a DELETE request into."""

from __future__ import annotations

from testbed.controllers.pod_deletion import deletion
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Delete, Update, Write

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


def deleted(item: Object, now_s: float) -> list[Write]:
    """The write that deletes it; none where its deletion is under way. What has finalizers stays until
    the last of them is gone; a pod ends gracefully.
    """
    if item.meta.deletion_s is not None:
        return []
    if isinstance(item, Pod):
        return [deletion(item, now_s)]
    if item.meta.finalizers:
        return [Update(with_meta(item, deletion_s=now_s, deletion_grace_period_s=0.0))]
    return [removed(item)]


def removed(item: Object) -> Delete:
    """At once."""
    return Delete(item.kind, item.meta.namespace, item.meta.name, item.meta.uid)


def without_finalizer(item: Object, finalizer: str) -> Write:
    """The write by which a terminating object loses a finalizer, and with its last one its existence."""
    left = tuple(one for one in item.meta.finalizers if one != finalizer)
    return Update(with_meta(item, finalizers=left)) if left else removed(item)
