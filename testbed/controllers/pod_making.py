"""A workload's template -> a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.model.objects.metadata import Object, ObjectMeta, OwnerReference
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import PodTemplate


def owned_by(item: Object) -> OwnerReference:
    """The reference of what a controller makes for `item`."""
    return OwnerReference(item.kind, item.meta.name, item.meta.uid, block_owner_deletion=True)


def template_rest(item: Object) -> Mapping[str, Any]:
    """What a workload's manifest says of its pods that no field holds."""
    spec = item.meta.rest.get("spec")
    found = spec.get("template") if isinstance(spec, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def pod_of(item: Object, template: PodTemplate, name: str) -> Pod:
    """A pod of `item`, which is a ReplicaSet or a DaemonSet."""
    meta = ObjectMeta(
        name=name,
        namespace=item.meta.namespace,
        labels=template.labels,
        annotations=template.annotations,
        owners=(owned_by(item),),
        rest=template_rest(item),
    )
    return Pod(meta, template.spec)
