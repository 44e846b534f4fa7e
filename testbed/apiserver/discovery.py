"""What clients ask before they ask for objects: groups, versions and resources, plain and aggregated.

Source: Kubernetes API concepts, "Discovery", and KEP-3352.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.apiserver.resources import EMPTY_GROUPS, Json, Resource, Subresource


def plain(resources: Sequence[Resource]) -> dict[str, Json]:
    """Path -> document."""
    groups = _groups(resources)
    found: dict[str, Json] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(*one) for one in groups],
        },
    }
    for group, version in groups:
        found[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)}
        found[f"/apis/{group}/{version}"] = _resource_list(f"{group}/{version}")
    found["/api/v1"] = _resource_list("v1")
    for resource in resources:
        rows = found[resource.root]["resources"]
        rows.append(_resource(resource))
        rows += (_subresource(resource, part) for part in resource.subresources)
    return found


def aggregated(resources: Sequence[Resource], version: str) -> dict[str, Json]:
    """Path -> document: `/api` for the core group, `/apis` for all others. `version` is the document's own."""
    groups: list[tuple[str, str]] = [("", "v1"), *_groups(resources)]
    items: dict[str, list[Json]] = {"/api": [], "/apis": []}
    for group, group_version in groups:
        rows = [_discovered(one) for one in resources if one.group == group]
        versions = {"version": group_version, "resources": rows, "freshness": "Current"}
        metadata: Json = (
            {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
        )
        items["/apis" if group else "/api"].append({"metadata": metadata, "versions": [versions]})
    head = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
    }
    return {path: {**head, "items": found} for path, found in items.items()}


def _groups(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return sorted({(one.group, one.version) for one in resources if one.group} | {*EMPTY_GROUPS})


def _group(group: str, version: str) -> Json:
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resource_list(group_version: str) -> Json:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": [],
    }


def _resource(resource: Resource) -> Json:
    row: Json = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    return row


def _subresource(resource: Resource, part: Subresource) -> Json:
    row: Json = {
        "name": f"{resource.plural}/{part.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": part.kind,
        "verbs": list(part.verbs),
    }
    return {"group": part.group, "version": part.version, **row} if part.group else row


def _discovered(resource: Resource) -> Json:
    row: Json = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if resource.subresources:
        row["subresources"] = [
            {
                "subresource": part.name,
                "responseKind": _kind(
                    part.group or resource.group, part.version or resource.version, part.kind
                ),
                "verbs": list(part.verbs),
            }
            for part in resource.subresources
        ]
    return row


def _kind(group: str, version: str, kind: str) -> Json:
    return {"group": group, "version": version, "kind": kind}
