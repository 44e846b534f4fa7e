"""A request's body as an object that can be stored: what is not the client's to say is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from testbed.apiserver.failure import Cause, bad_request, conflict, invalid
from testbed.apiserver.resources import Json, Resource
from testbed.apiserver.rules import Rules, rules_of

_STAMPS = (
    *("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("generation", "selfLink", "resourceVersion", "managedFields"),
)
"""Of metadata: the server's to say."""
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Of these, what an update may repeat and may not change."""


def received(resource: Resource, namespace: str, body: Any, name: str = "") -> Json:
    """The body as an object of this resource, in this namespace and, where the URL names one, of this name.
    Raises ApiFailure (400).
    """
    if not isinstance(body, Mapping):
        raise bad_request(f"the object provided is unrecognized: it is no {resource.kind}")
    version, kind = resource.group_version, resource.kind
    if (said := body.get("apiVersion") or version) != version:
        raise bad_request(
            f"the API version in the data ({said}) does not match the expected API version ({version})"
        )
    if (said := body.get("kind") or kind) != kind:
        raise bad_request(f'{said} in version "{version}" cannot be handled as a {kind}')
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise bad_request(f"{resource.kind} cannot be handled: metadata is no mapping")
    metadata = dict(metadata or {})
    _place(resource, namespace, metadata)
    if name and (metadata.setdefault("name", name) or name) != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    head = {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": metadata}
    return {**head, **{key: value for key, value in body.items() if key not in head}}


def _place(resource: Resource, namespace: str, metadata: Json) -> None:
    said = metadata.get("namespace") or ""
    if not resource.namespaced:
        metadata.pop("namespace", None)
    elif said and namespace and said != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    else:
        metadata["namespace"] = namespace or said


def new(document: Json) -> Json:
    """An object that is to be created, without what only the server says. Raises ApiFailure (400)."""
    rules = rules_of(document["kind"])
    metadata = document["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    fresh = {key: value for key, value in metadata.items() if key not in _STAMPS}
    # A kubelet registers its node with its status.
    dropped = {"status"} if rules.has_status and document["kind"] != "Node" else set()
    return {key: value for key, value in document.items() if key not in dropped} | {
        "metadata": fresh
    }


def changed(resource: Resource, document: Json, shown: Json, subresource: str) -> Json:
    """An object that replaces `shown`: what this path does not write is as it was.

    Raises ApiFailure: 409 where it is based on something else, 422 where it does not say on what.
    """
    rules = rules_of(resource.kind)
    metadata, was = document["metadata"], shown["metadata"]
    _check_version(resource, rules, metadata, was)
    fresh = {key: value for key, value in metadata.items() if key not in _STAMPS}
    for key in _STAMPS:
        if key in was:
            fresh[key] = _repeated(metadata.get(key), was[key]) if key in _KEPT else was[key]
    if metadata.get("managedFields") and not subresource:
        fresh["managedFields"] = metadata["managedFields"]
    if subresource == "status":
        return {**shown, "metadata": _of_status(fresh, was, resource), **_only(document, "status")}
    if subresource == "finalize":
        spec = {**shown.get("spec", {}), "finalizers": document.get("spec", {}).get("finalizers")}
        return {**shown, "metadata": fresh, "spec": spec}
    own = {key: value for key, value in document.items() if key != "status"}
    if not rules.has_status:
        return {**document, "metadata": fresh}
    return {**own, "metadata": fresh, **_only(shown, "status")}


def _repeated(said: Any, was: Any) -> Any:
    """What the client says; what was, where it says nothing, or the same instant in other words.

    Clients in Python write +00:00 for Z.
    """
    if said and isinstance(said, str) and isinstance(was, str):
        with suppress(ValueError):
            return was if datetime.fromisoformat(said) == datetime.fromisoformat(was) else said
    return said or was


def applicable(document: Json, subresource: str) -> Json:
    """Of what is applied, what this path writes."""
    if subresource == "status":
        return {key: one for key, one in document.items() if key != "spec"}
    if rules_of(document["kind"]).has_status:
        return {key: one for key, one in document.items() if key != "status"}
    return document


def _only(document: Json, key: str) -> Json:
    return {key: document[key]} if key in document else {}


def _of_status(fresh: Json, was: Json, resource: Resource) -> Json:
    """Metadata by way of the status: workloads keep their labels, and everything its owners."""
    kept = ("ownerReferences", "labels") if resource.group else ("ownerReferences",)
    return {
        **{key: value for key, value in fresh.items() if key not in kept},
        **{key: was[key] for key in kept if key in was},
    }


def _check_version(resource: Resource, rules: Rules, metadata: Json, was: Json) -> None:
    name, version = was["name"], str(metadata.get("resourceVersion") or "")
    if version and not version.isdecimal():
        message = f'Invalid value: "{version}": must be a number'
        cause = Cause("FieldValueInvalid", message, "metadata.resourceVersion")
        raise invalid(resource, name, [cause])
    if version in {"", "0"}:
        if not rules.unconditional:
            message = "Invalid value: 0x0: must be specified for an update"
            cause = Cause("FieldValueInvalid", message, "metadata.resourceVersion")
            raise invalid(resource, name, [cause])
    elif version != was["resourceVersion"]:
        raise conflict(resource, name)
    check_uid(resource, name, metadata.get("uid") or "", was["uid"])


def check_uid(resource: Resource, name: str, wanted: str, uid: str) -> None:
    """Raises ApiFailure (409) where another object of that name is meant."""
    if wanted and wanted != uid:
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        raise conflict(resource, name, why)
