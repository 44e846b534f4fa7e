"""What the environment of a container must be.

Source: ValidateEnv and ValidateEnvFrom of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

import re

from testbed.apiserver.validation.formats import (
    config_key,
    dns_subdomain,
    environment_name,
    qualified_name,
)
from testbed.apiserver.validation.place import Place

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName"),
    *("spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP"),
    "status.podIPs",
)
FILE_FIELDS = (
    *("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace"),
    "metadata.uid",
)
"""Of the pod: what files of a downwardAPI volume can say."""
_RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory"),
    *("requests.cpu", "requests.ephemeral-storage", "requests.memory"),
)
_HUGE_PAGES = ("requests.hugepages-", "limits.hugepages-")
_ENTRY = re.compile(r"(metadata\.(?:annotations|labels))\['(.+)'\]")
_NOT_SEVERAL = "may not have more than one field specified at a time"


def environment(container: Place) -> None:
    """`env` and `envFrom`."""
    for variable in container["env"].items():
        if variable["name"]:
            variable["name"].invalid(*environment_name(variable["name"].text))
        else:
            variable["name"].required()
        if variable["valueFrom"].value is not None:
            _value_from(variable)
    for source in container["envFrom"].items():
        _env_from(source, container["envFrom"])


def _value_from(variable: Place) -> None:
    source = variable["valueFrom"]
    found = [source[key] for key in _SOURCES if source[key].value is not None]
    for one in found:
        match one.path.rpartition(".")[2]:
            case "fieldRef":
                field_ref(one, _FIELDS)
            case "resourceFieldRef":
                resource_field_ref(one)
            case "configMapKeyRef" | "secretKeyRef":
                _key_ref(one)
    if not found:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        source.invalid(f"must specify one of: {listed}", value="")
    elif variable["value"]:
        source.invalid("may not be specified when `value` is not empty", value="")
    elif len(found) > 1:
        source.invalid(_NOT_SEVERAL, value="")


def field_ref(reference: Place, fields: tuple[str, ...]) -> None:
    """A field of the pod itself: one of those, or one label or annotation."""
    path = reference["fieldPath"]
    if not path:
        path.required()
        return
    if entry := _ENTRY.fullmatch(path.text):
        key = entry[2].lower() if entry[1].endswith("annotations") else entry[2]
        reference.invalid(*qualified_name(key), value=key)
    elif not _convertible(path.text):
        said = f"field label not supported: {path.text}"
        path.invalid(f"error converting fieldPath: {said}")
    else:
        path.one_of(fields)


def _convertible(path: str) -> bool:
    """Whether it is a field of pods that the downward API has heard of."""
    return path in {
        *_FIELDS,
        *FILE_FIELDS,
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
    }


def resource_field_ref(reference: Place) -> None:
    """A resource that a container asks for."""
    resource = reference["resource"]
    if not resource:
        resource.required()
    elif not resource.text.startswith(_HUGE_PAGES):
        resource.one_of(_RESOURCES)


def _key_ref(reference: Place) -> None:
    reference["name"].invalid(*dns_subdomain(reference["name"].text), value=reference["name"].text)
    if reference["key"]:
        reference["key"].invalid(*config_key(reference["key"].text))
    else:
        reference["key"].required()


def _env_from(source: Place, every: Place) -> None:
    if source["prefix"]:
        source["prefix"].invalid(*environment_name(source["prefix"].text))
    found = [source[key] for key in ("configMapRef", "secretRef") if source[key].value is not None]
    for one in found:
        if one["name"]:
            one["name"].invalid(*dns_subdomain(one["name"].text))
        else:
            one["name"].required()
    if not found:
        every.invalid("must specify one of: `configMapRef` or `secretRef`", value="")
    elif len(found) > 1:
        every.invalid(_NOT_SEVERAL, value="")
