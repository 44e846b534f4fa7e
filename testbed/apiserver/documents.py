"""Kubernetes' own JSON around the objects: lists, statuses, discovery, watch events, a kubeconfig."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from testbed.apiserver.resources import Json, Resource

VERSION: Json = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+testbed",
    "platform": "linux/amd64",
}
"""Of the API that is modelled; the suffix says whose it is."""
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}
_VERBS = ("get", "list", "watch")


def object_list(resource: Resource, items: Iterable[Json], resource_version: int) -> Json:
    """A list of one resource."""
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.group_version,
        "metadata": {"resourceVersion": str(resource_version)},
        "items": list(items),
    }


def bookmark(resource: Resource, resource_version: int, *, initial: bool = False) -> Json:
    """A watch event that says how far the watch is; `initial`: all that was there has been sent."""
    metadata: Json = {"resourceVersion": str(resource_version)}
    if initial:
        metadata["annotations"] = INITIAL_EVENTS_END
    item = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": item}


def status(code: int, reason: str, message: str) -> Json:
    """Why a request failed."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def discovery(resources: Sequence[Resource]) -> dict[str, Json]:
    """Path -> document of everything that clients ask before they ask for objects."""
    found: dict[str, Json] = {"/version": VERSION}
    found["/api"] = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    groups = sorted({resource.group for resource in resources} - {""})
    found["/apis"] = {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(resources, group) for group in groups],
    }
    for resource in resources:
        document = found.setdefault(
            resource.root,
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": resource.group_version,
                "resources": [],
            },
        )
        document["resources"].append(_resource(resource))
    return found


def _group(resources: Sequence[Resource], group: str) -> Json:
    versions = [
        {"groupVersion": version, "version": version.rpartition("/")[2]}
        for version in sorted({one.group_version for one in resources if one.group == group})
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resource(resource: Resource) -> Json:
    return {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_VERBS),
        "shortNames": list(resource.short_names),
    }


def kubeconfig(server: str, name: str) -> dict[str, Any]:
    """How clients find the API: no user, no certificates."""
    context = {"cluster": name, "user": name}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
