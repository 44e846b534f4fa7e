"""What every object's metadata must be, and label selectors.

Source: apimachinery's `api/validation/objectmeta.go` and `apis/meta/v1/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.formats import (
    Format,
    dns_label,
    label_value,
    qualified_name,
)
from testbed.apiserver.validation.place import Place

_ANNOTATIONS_BYTES = 256 * 1024
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_STAMPS = (
    *("name", "namespace", "uid", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)
_SELECTOR_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}


def metadata(item: Place, name_format: Format | None) -> None:
    """Of an object that has its name by now, or that needs none (None)."""
    meta = item["metadata"]
    if name_format is not None:
        _name(meta, name_format)
    if namespace := meta["namespace"].text:
        meta["namespace"].invalid(*dns_label(namespace))
    meta["generation"].at_least(0)
    _parts(meta)


def _name(meta: Place, name_format: Format) -> None:
    prefix, name = meta["generateName"], meta["name"]
    if prefix:
        # The generated part follows: a dash at the end will not stay there.
        masked = f"{prefix.text[:-1]}a" if prefix.text.endswith("-") else prefix.text
        prefix.invalid(*name_format(masked))
    if name:
        name.invalid(*name_format(name.text))
    elif not prefix:
        name.required("name or generateName is required")


def _parts(meta: Place) -> None:
    labels(meta["labels"])
    _annotations(meta["annotations"])
    _owners(meta["ownerReferences"])
    _finalizers(meta["finalizers"])


def metadata_update(item: Place, old: Mapping[str, Any]) -> None:
    """Of an object that replaces `old`. What it leaves out of its identity stays as it is."""
    meta, was = item["metadata"], old.get("metadata", {})
    if was.get("deletionTimestamp"):
        more = sorted({*meta["finalizers"].list} - {*was.get("finalizers", ())})
        if more:
            listed = ", ".join(f'"{one}"' for one in more)
            meta["finalizers"].forbidden(
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
    for key in _STAMPS:
        if meta[key].value is not None:
            meta[key].unchanged(was.get(key))
    if meta["generation"].value and meta["generation"].number < was.get("generation", 0):
        meta["generation"].invalid("must not be decremented")
    _parts(meta)


def labels(place: Place) -> None:
    """Keys and values of labels."""
    for key, value in place.mapping.items():
        place.invalid(*qualified_name(key), value=key)
        place.invalid(*label_value(value), value=value)


def _annotations(place: Place) -> None:
    """Keys of annotations, and how much there is of them."""
    for key in place.mapping:
        place.invalid(*qualified_name(key.lower()), value=key)
    texts = [text for pair in place.mapping.items() for text in pair]
    if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) > _ANNOTATIONS_BYTES:
        place.too_long(_ANNOTATIONS_BYTES)


def _owners(place: Place) -> None:
    controllers = []
    for owner in place.list:
        at = Place(owner, place.path, place.causes)
        if not at["apiVersion"]:
            at["apiVersion"].invalid("version must not be empty", value="")
        for key in ("kind", "name", "uid"):
            if not at[key]:
                at[key].invalid("must not be empty", value="")
        if owner.get("kind") == "Event" and owner.get("apiVersion") == "v1":
            at.invalid("/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind', '')}/{owner.get('name', '')}")
    for other in controllers[1:]:
        place.invalid(
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {other}"
        )


def _finalizers(place: Place) -> None:
    for one in place.list:
        place.invalid(*qualified_name(one), value=one)
    if {_ORPHAN, _FOREGROUND} <= {*place.list}:
        place.invalid(f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set")


def label_selector(place: Place) -> None:
    """matchLabels and matchExpressions."""
    labels(place["matchLabels"])
    for one in place["matchExpressions"].items():
        _requirement(one)


def _requirement(one: Place) -> None:
    operator, values = one["operator"].text, one["values"]
    if operator not in _SELECTOR_OPERATORS:
        one["operator"].invalid("not a valid selector operator", value=operator)
    elif operator in {"In", "NotIn"} and not values:
        values.required("must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"} and values:
        values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    one["key"].invalid(*qualified_name(one["key"].text), value=one["key"].text)
    for value in values.items():
        value.invalid(*label_value(value.text))


def matches(selector: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    wanted = selector.get("matchLabels") or {}
    if any(found.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(one, found) for one in selector.get("matchExpressions") or ())


def _meets(requirement: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    key, values = requirement.get("key"), requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return found.get(str(key)) in values
        case "NotIn":
            return key not in found or found[str(key)] not in values
        case "Exists":
            return key in found
        case "DoesNotExist":
            return key not in found
    return False
