"""Manifests that Kubernetes takes as they are: one of each kind that clients write."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from testbed.apiserver.resources import RESOURCES, Resource

Json = dict[str, Any]
KINDS = {
    (one.group_version, one.kind): one
    for one in RESOURCES
    if "create" in one.verbs and one.kind != "Binding"
}


def resource_of(manifest: Json) -> Resource:
    """The one that a manifest is written to."""
    return KINDS[manifest["apiVersion"], manifest["kind"]]


def _object(kind: str, api_version: str = "v1", name: str = "web", **body: Any) -> Json:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


_LABELS = {"app": "web"}
_CONTAINER = {
    "name": "server",
    "image": "registry.k8s.io/e2e-test-images/agnhost:2.40",
    "args": ["netexec", "--http-port=8080"],
    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"path": "/hostname", "port": "http"}},
    "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"}],
    "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
}
_POD_SPEC = {
    "containers": [_CONTAINER],
    "initContainers": [{"name": "first", "image": "busybox", "command": ["true"]}],
    "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": _LABELS},
        }
    ],
}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": _POD_SPEC}
_SELECTED = {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}
_NETWORKING = "networking.k8s.io/v1"

_ALL = (
    _object("Namespace"),
    _object("Node", spec={"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}),
    _object("Pod", spec=_POD_SPEC),
    _object("Service", spec={"selector": _LABELS, "ports": [{"port": 80, "targetPort": "http"}]}),
    _object("Deployment", "apps/v1", spec={"replicas": 2, **_SELECTED}),
    _object("ReplicaSet", "apps/v1", spec=_SELECTED),
    _object("DaemonSet", "apps/v1", spec=_SELECTED),
    _object("ConfigMap", data={"key": "value"}),
    _object("Secret", stringData={"password": "swordfish"}),
    _object("ServiceAccount"),
    _object("Endpoints", subsets=[{"addresses": [{"ip": "10.1.0.2"}], "ports": [{"port": 80}]}]),
    _object(
        *("EndpointSlice", "discovery.k8s.io/v1"),
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.0.2"], "conditions": {"ready": True}}],
        ports=[{"name": "http", "port": 8080}],
    ),
    _object("Lease", "coordination.k8s.io/v1", spec={"leaseDurationSeconds": 40}),
    _object("Event", involvedObject={"kind": "Pod", "name": "web", "namespace": "default"}),
    _object(
        *("Ingress", _NETWORKING),
        spec={
            "rules": [
                {
                    "host": "web.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    ),
    _object("IngressClass", _NETWORKING, spec={"controller": "example.com/ingress"}),
    _object(
        *("NetworkPolicy", _NETWORKING),
        spec={
            "podSelector": {},
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}],
        },
    ),
    _object("ServiceCIDR", _NETWORKING, spec={"cidrs": ["10.96.0.0/16"]}),
    _object(
        *("IPAddress", _NETWORKING, "10.96.0.1"),
        spec={"parentRef": {"resource": "services", "name": "kubernetes", "namespace": "default"}},
    ),
)
VALID: dict[str, Json] = {one["kind"]: one for one in _ALL}
"""By kind."""


def changed(kind: str, path: str, value: Any) -> Json:
    """A valid object with what is at a path (`spec/ports/0/port`) replaced; None: removed."""
    manifest = deepcopy(VALID[kind])
    *way, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    place: Any = manifest
    for part in way:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if value is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return manifest
