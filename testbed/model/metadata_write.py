"""What manifests of all kinds share: metadata, conditions, times; and how values are spelt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed.model.objects.metadata import Condition, ObjectMeta, OwnerReference

Json = dict[str, Any]

_API_VERSIONS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "DaemonSet": "apps/v1"}
"""Of owners that name none."""


def full(pairs: Json) -> Json:
    """Without the fields that say nothing: None, "", and empty containers (0 and False stay)."""
    return {key: value for key, value in pairs.items() if value or value is False or value == 0}


def seconds(value: float | None) -> int | float | None:
    """Whole seconds as an int, which is what Kubernetes takes."""
    return int(value) if value is not None and value == int(value) else value


def when(condition: bool) -> str:
    """A condition's status."""
    return "True" if condition else "False"


def metadata(meta: ObjectMeta) -> Json:
    """`metadata` of a manifest."""
    return full(
        {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": str(meta.resource_version or ""),
            "labels": dict(meta.labels),
            "annotations": dict(meta.annotations),
            "deletionGracePeriodSeconds": seconds(meta.deletion_grace_period_s),
            "ownerReferences": [_owner(owner) for owner in meta.owners],
            "finalizers": list(meta.finalizers),
            "generation": meta.generation or None,
        }
    )


def _owner(owner: OwnerReference) -> Json:
    written: Json = {
        "apiVersion": owner.api_version or _API_VERSIONS.get(owner.kind, "v1"),
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
    }
    if owner.controller:
        written["controller"] = True
    if owner.block_owner_deletion:
        written["blockOwnerDeletion"] = True
    return written


def conditions(found: Iterable[Condition]) -> list[Json]:
    """`status.conditions`, but for their times."""
    return [
        full(
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": one.message,
            }
        )
        for one in found
    ]


def condition_times(found: Iterable[Condition]) -> Json:
    """Their times, by type, for the key `testbed`."""
    by_type = {
        one.type: {
            key: time_s
            for key, time_s in (("changed", one.changed_s), ("updated", one.updated_s))
            if time_s is not None
        }
        for one in found
    }
    times = {key: times for key, times in by_type.items() if times}
    return {"conditionSeconds": times} if times else {}


def times_of(meta: ObjectMeta) -> Json:
    """Times of CLOCK_MONOTONIC, for the key `testbed`."""
    times: Json = {}
    if meta.creation_s:
        times["creationSeconds"] = meta.creation_s
    if meta.deletion_s is not None:
        times["deletionSeconds"] = meta.deletion_s
    return times


def whole(meta: ObjectMeta, spec: Json, status: Json, own_keys: Json) -> Json:
    """A manifest without apiVersion and kind."""
    item: Json = {"metadata": metadata(meta), "spec": spec}
    if status:
        item["status"] = status
    return {**item, **own({**times_of(meta), **own_keys})}


def own(testbed: Json) -> Json:
    """What Kubernetes has no place for."""
    return {"testbed": testbed} if testbed else {}
