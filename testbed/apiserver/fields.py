"""The fields that objects can be selected by, kind by kind.

Source: Kubernetes' field label conversions (`pkg/apis/*/v1/conversion.go`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from testbed.apiserver.failure import bad_request
from testbed.apiserver.resources import Resource
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object

Getter = Callable[[Any], str]


def _pod(path: str) -> Getter:
    quick: dict[str, Getter] = {
        "spec.nodeName": lambda item: item.spec.node_name,
        "spec.restartPolicy": lambda item: item.spec.restart_policy,
        "status.phase": lambda item: item.status.phase,
        "status.podIP": lambda item: item.status.pod_ip,
        "status.podIPs": lambda item: ",".join(item.status.pod_ips),
    }
    return quick.get(path) or _written(path)


def _written(path: str, absent: str = "") -> Getter:
    """What the manifest says there; `absent` where it says nothing."""
    keys = path.split(".")

    def get(item: Object) -> str:
        value: Any = to_manifest(item)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return absent
        return value if isinstance(value, str) else str(value).lower()

    return get


def _event(path: str) -> Getter:
    """Of an event as it is stored, in its core form."""
    renamed = {
        "reportingController": "reportingComponent",
        "source": "source.component",
        **{f"regarding.{key}": f"involvedObject.{key}" for key in _REFERENCE},
    }
    return _written(renamed.get(path, path))


_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT = ("reason", "source", "type")
_COMMON: dict[str, Getter] = {
    "metadata.name": lambda item: item.meta.name,
    "metadata.namespace": lambda item: item.meta.namespace,
}
_POD = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
)
_FIELDS: dict[str, dict[str, Getter]] = {
    "pods": {
        **{path: _pod(path) for path in _POD},
        "spec.hostNetwork": _written("spec.hostNetwork", "false"),
    },
    "nodes": {"spec.unschedulable": lambda item: str(item.unschedulable).lower()},
    "namespaces": {"status.phase": _written("status.phase")},
    "services": {path: _written(path) for path in ("spec.clusterIP", "spec.type")},
    "secrets": {"type": _written("type")},
    "replicasets.apps": {"status.replicas": _written("status.replicas", "0")},
    "events": {
        path: _event(path)
        for path in (
            *_EVENT,
            "reportingComponent",
            *(f"involvedObject.{key}" for key in _REFERENCE),
        )
    },
    "events.events.k8s.io": {
        path: _event(path)
        for path in (*_EVENT, "reportingController", *(f"regarding.{key}" for key in _REFERENCE))
    },
}


def getter(resource: Resource, path: str) -> Getter:
    """What reads a field of an object. Raises ApiFailure (400) where objects are not selected by it."""
    own = _FIELDS.get(resource.qualified)
    found = _COMMON.get(path) or (own or {}).get(path)
    if found is None and own is None:
        known = ", ".join(f'"{name}"' for name in _COMMON)
        raise bad_request(f'"{path}" is not a known field selector: only {known}')
    if found is None:
        raise bad_request(f"field label not supported: {path}")
    return found
