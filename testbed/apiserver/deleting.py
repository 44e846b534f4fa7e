"""What a DELETE request makes of an object: gone at once, or terminating until its finalizers are worked off.

Source: `BeforeDelete` and `deletionFinalizersForGarbageCollection` of apiserver's `pkg/registry`.
"""

from __future__ import annotations

from testbed.apiserver.failure import conflict, forbidden
from testbed.apiserver.options import FOREGROUND, ORPHAN, DeleteOptions
from testbed.apiserver.received import check_uid
from testbed.apiserver.resources import Resource
from testbed.apiserver.rules import rules_of
from testbed.controllers.pod_deletion import deletion as pod_deletion
from testbed.model.documents import Namespace
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Delete, Update, Write

_FINALIZERS = {FOREGROUND: "foregroundDeletion", ORPHAN: "orphan"}
"""What the garbage collector works off; a background deletion needs none."""
_EMPTYING = (
    "The system is ensuring all content is removed from this namespace.  Upon completion, this "
    "namespace will automatically be purged by the system."
)


def check_deletable(resource: Resource, item: Object, options: DeleteOptions) -> None:
    """Raises ApiFailure: 403 for what must stay, 409 where another object or state is meant."""
    name, meta = item.meta.name, item.meta
    if name in rules_of(resource.kind).undeletable:
        raise forbidden(resource, name, "this namespace may not be deleted")
    check_uid(resource, name, options.uid, meta.uid)
    version = options.resource_version
    if version and version != str(meta.resource_version):
        why = (
            f"Precondition failed: ResourceVersion in precondition: {version}, "
            f"ResourceVersion in object meta: {meta.resource_version}"
        )
        raise conflict(resource, name, why)
    if isinstance(item, Namespace) and meta.deletion_s is not None and contents_of(item):
        raise conflict(resource, name, _EMPTYING)


def deletion(item: Object, options: DeleteOptions, now_s: float) -> Write:
    """The write that deletes an object, or lets it begin to end."""
    finalizers = _finalizers(item.meta.finalizers, options.propagation)
    if isinstance(item, Namespace) and contents_of(item):
        return Update(_terminating(_ending_namespace(item), finalizers, now_s))
    write: Write = Delete(item.kind, item.meta.namespace, item.meta.name, item.meta.uid)
    if isinstance(item, Pod):
        grace = None if options.grace_period_s is None else float(options.grace_period_s)
        write = pod_deletion(with_meta(item, finalizers=finalizers), now_s, grace)
    if isinstance(write, Delete) and finalizers:
        return Update(_terminating(item, finalizers, now_s))
    return write


def is_over(item: Object) -> bool:
    """Whether an object that was deleted has nothing left to wait for."""
    return (
        item.meta.deletion_s is not None
        and not item.meta.finalizers
        and not item.meta.deletion_grace_period_s
        and not (isinstance(item, Namespace) and contents_of(item))
    )


def contents_of(namespace: Namespace) -> tuple[str, ...]:
    """Who empties it first: `spec.finalizers`."""
    return tuple(namespace.body.get("spec", {}).get("finalizers") or ())


def _finalizers(present: tuple[str, ...], propagation: str) -> tuple[str, ...]:
    if not propagation:
        return present
    others = tuple(one for one in present if one not in _FINALIZERS.values())
    own = _FINALIZERS.get(propagation)
    return (*others, own) if own else others


def _terminating(item: Object, finalizers: tuple[str, ...], now_s: float) -> Object:
    asked_s = now_s if item.meta.deletion_s is None else item.meta.deletion_s
    return with_meta(item, finalizers=finalizers, deletion_s=asked_s, deletion_grace_period_s=0.0)


def _ending_namespace(item: Namespace) -> Namespace:
    return with_meta(item, rest={**item.meta.rest, "status": {"phase": "Terminating"}})
