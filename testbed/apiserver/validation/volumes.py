"""What volumes and their mounts must be; of the many sources, those that need no storage.

Source: ValidateVolumes and ValidateVolumeMounts of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Collection

from testbed.apiserver.validation.choices import HOST_PATH_TYPES
from testbed.apiserver.validation.environment import (
    FILE_FIELDS,
    field_ref,
    resource_field_ref,
)
from testbed.apiserver.validation.formats import config_key, dns_label
from testbed.apiserver.validation.place import Place

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def volumes(every: Place) -> set[str]:
    """The names of a pod's volumes."""
    names: set[str] = set()
    for volume in every.items():
        _sources(volume)
        name = volume["name"]
        if not name:
            name.required()
            continue
        name.invalid(*dns_label(name.text))
        name.unique(name.text, names)
    return names


def _sources(volume: Place) -> None:
    found = [volume[key] for key in volume.mapping if key != "name"]
    if not found:
        volume.required("must specify a volume type")
    for extra in found[1:]:
        extra.forbidden("may not specify more than 1 volume type")
    for source in found[:1]:
        _source(source, source.path.rpartition(".")[2])


def _source(source: Place, kind: str) -> None:
    match kind:
        case "configMap":
            _needed(source["name"])
            _keys(source)
        case "secret":
            _needed(source["secretName"])
            _keys(source)
        case "downwardAPI":
            _mode(source["defaultMode"])
            _downward(source["items"])
        case "projected":
            _mode(source["defaultMode"])
            for part in source["sources"].items():
                _projected(part)
        case "hostPath":
            _needed(source["path"])
            _no_steps_back(source["path"])
            if source["type"].text not in HOST_PATH_TYPES:
                source["type"].unsupported(HOST_PATH_TYPES)
        case "persistentVolumeClaim":
            _needed(source["claimName"])


def _projected(part: Place) -> None:
    found = [part[key] for key in part.mapping]
    if not found:
        part.required("must specify exactly one volume projection type")
    for extra in found[1:]:
        extra.forbidden("may not specify more than 1 volume type")
    for source in found[:1]:
        match source.path.rpartition(".")[2]:
            case "configMap" | "secret":
                _needed(source["name"])
                _keys(source)
            case "downwardAPI":
                _downward(source["items"])
            case "serviceAccountToken":
                _needed(source["path"])


def _needed(place: Place) -> None:
    if not place:
        place.required()


def _mode(place: Place) -> None:
    if place.value is not None and not 0 <= place.number <= 0o777:
        place.invalid(_MODE)


def _keys(source: Place) -> None:
    """Which keys become which files."""
    _mode(source["defaultMode"])
    for item in source["items"].items():
        if item["key"]:
            item["key"].invalid(*config_key(item["key"].text))
        else:
            item["key"].required()
        _needed(item["path"])
        _descending(item["path"])
        _mode(item["mode"])


def _downward(items: Place) -> None:
    for item in items.items():
        _needed(item["path"])
        _descending(item["path"])
        _mode(item["mode"])
        if item["fieldRef"].value is not None:
            field_ref(item["fieldRef"], FILE_FIELDS)
            if item["resourceFieldRef"].value is not None:
                item.invalid("fieldRef and resourceFieldRef can not be specified simultaneously")
        elif item["resourceFieldRef"].value is not None:
            if not item["resourceFieldRef"]["containerName"]:
                item["resourceFieldRef"]["containerName"].required()
            resource_field_ref(item["resourceFieldRef"])
        else:
            item.required("one of fieldRef and resourceFieldRef is required")


def _descending(path: Place) -> None:
    """A path below the volume."""
    if path.text.startswith("/"):
        path.invalid("must be a relative path")
    _no_steps_back(path)


def _no_steps_back(path: Place) -> None:
    if ".." in path.text.split("/"):
        path.invalid("must not contain '..'")


def mounts(every: Place, names: Collection[str]) -> None:
    """Where a container has volumes, of which the pod has those."""
    taken: set[str] = set()
    for mount in every.items():
        name, path = mount["name"], mount["mountPath"]
        if not name:
            name.required()
        if name.text not in names:
            name.not_found(name.text)
        if not path:
            path.required()
        if path.text in taken:
            path.invalid("must be unique")
        taken.add(path.text)
        for key in ("subPath", "subPathExpr"):
            # Kubernetes leaves out the mount's index here.
            _descending(Place(mount[key].value, f"{every.path}.{key}", every.causes))
        if mount["subPath"] and mount["subPathExpr"]:
            mount["subPathExpr"].invalid("subPathExpr and subPath are mutually exclusive")
