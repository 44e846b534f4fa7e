"""What an Event must be, in both of its forms: core/v1's and events.k8s.io/v1's, of which the latter is strict.

Source: `pkg/apis/core/validation/events.go`, which names fields as core/v1 does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.formats import qualified_name
from testbed.apiserver.validation.place import Place

_STRICT = "events.k8s.io/v1"
_LONGEST, _LONGEST_NOTE = 128, 1024
_OLD = {
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "deprecatedSource": "source",
}
_KEPT = {
    **{"regarding": "involvedObject", "note": "message", **_OLD},
    **{key: key for key in ("reason", "type", "eventTime", "action", "related")},
    **{key: key for key in ("reportingController", "reportingInstance")},
}


def event(item: Place) -> None:
    """Where it is, and whoever says when it was says who saw it."""
    about = _either(item, "involvedObject", "regarding")
    namespace = about["namespace"]
    mine = item["metadata"]["namespace"].text
    if item["eventTime"].value is None:
        fits = namespace.text == mine or (not namespace and mine == "default")
    else:
        fits = bool(namespace) or mine in {"default", "kube-system"}
        _reported(item)
    if mine and not fits:
        namespace.invalid("does not match event.namespace", value=namespace.text)


def _reported(item: Place) -> None:
    controller = _either(item, "reportingComponent", "reportingController")
    at = Place(controller.value, "reportingController", item.causes)
    if not at:
        at.required()
    at.invalid(*qualified_name(at.text), value=at.text)
    for key in ("reportingInstance", "action", "reason"):
        if not item[key]:
            item[key].required()
        _at_most(item[key], _LONGEST)
    _at_most(Place(_either(item, "message", "note").value, "message", item.causes), _LONGEST_NOTE)


def _at_most(place: Place, most: int) -> None:
    if len(place.text.encode("utf-8", "surrogatepass")) > most:
        place.invalid(f"can have at most {most} characters", value="")


def _either(item: Place, key: str, other: str) -> Place:
    """A field by its name in core/v1 or, in the other form, by its name there."""
    value = item[key].value if item[key].value is not None else item[other].value
    return Place(value, key, item.causes)


def event_created(item: Place) -> None:
    """What only the strict form asks for."""
    if item["apiVersion"].text != _STRICT:
        return
    if item["eventTime"].value is None:
        item["eventTime"].required()
    if item["type"].text not in {"Normal", "Warning"}:
        item["type"].invalid(f"has invalid value: {item['type'].text}", value="")
    for key, name in _OLD.items():
        if item[key]:
            Place(None, name, item.causes).invalid("needs to be unset", value="")
    _series(item["series"])


def event_update(item: Place, old: Mapping[str, Any]) -> None:
    """In the strict form only its series grows."""
    if item["apiVersion"].text != _STRICT:
        return
    if item["series"].value != old.get("series"):
        _series(item["series"])
    for key, name in _KEPT.items():
        Place(item[key].value, name, item.causes).unchanged(old.get(key))


def _series(series: Place) -> None:
    if series.value is None:
        return
    if series["count"].number < 2:
        series["count"].invalid("should be at least 2", value="")
    if series["lastObservedTime"].value is None:
        series["lastObservedTime"].required()
