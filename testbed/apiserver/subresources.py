"""Parts of objects with a form of their own: Scale, Binding and Eviction, to and from the object.

Source: autoscaling/v1, `pkg/registry/core/pod/storage` and policy/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from testbed.apiserver.failure import conflict, not_found
from testbed.apiserver.resources import Json, Resource, of_kind
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Snapshot

SCALE = Resource("autoscaling", "v1", "scales", "Scale", True)
BINDING = Resource("", "v1", "pods/binding", "Binding", True)
EVICTION = Resource("policy", "v1", "pods/eviction", "Eviction", True)


def scale_of(shown: Mapping[str, Any]) -> Json:
    """How far a workload is scaled, and should be."""
    metadata, spec = shown["metadata"], shown.get("spec", {})
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.group_version,
        "metadata": {key: metadata[key] for key in keys if key in metadata},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {
            "replicas": shown.get("status", {}).get("replicas", 0),
            "selector": _selector_text(spec.get("selector") or {}),
        },
    }


def scaled(shown: Json, scale: Mapping[str, Any]) -> Json:
    """The workload that a Scale asks for."""
    metadata = {key: value for key, value in shown["metadata"].items() if key != "resourceVersion"}
    said = scale.get("metadata") or {}
    for key in ("resourceVersion", "uid"):
        if said.get(key):
            metadata[key] = said[key]
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    return {**shown, "metadata": metadata, "spec": {**shown["spec"], "replicas": replicas}}


def _selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector as queries have it: `app=web,tier in (a,b)`."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], f"({','.join(sorted(one.get('values') or ()))})"
        match one["operator"]:
            case "In":
                parts.append(f"{key} in {values}")
            case "NotIn":
                parts.append(f"{key} notin {values}")
            case "Exists":
                parts.append(key)
            case _:
                parts.append(f"!{key}")
    return ",".join(parts)


def bound(pod: Pod, binding: Mapping[str, Any], snapshot: Snapshot) -> Pod:
    """The pod on the node that a Binding names. Raises ApiFailure: 409 where it cannot go there any more."""
    name, node = pod.meta.name, binding["target"]["name"]
    why = ""
    if pod.meta.deletion_s is not None:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif pod.spec.node_name:
        why = f'pod {name} is already assigned to node "{pod.spec.node_name}"'
    if why:
        raise conflict(BINDING, name, why)
    if snapshot.get(Node, "", node) is None:
        raise not_found(of_kind("Node"), node)
    said = binding.get("metadata") or {}
    pod = with_meta(
        pod,
        labels={**pod.meta.labels, **(said.get("labels") or {})},
        annotations={**pod.meta.annotations, **(said.get("annotations") or {})},
    )
    return replace(
        pod,
        spec=replace(pod.spec, node_name=node),
        status=replace(pod.status, scheduled=True, reason="", message=""),
    )
