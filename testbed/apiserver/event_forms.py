"""An event in its two forms: as core/v1 has it, which is stored, and as events.k8s.io/v1.

Source: Kubernetes' `pkg/apis/events/v1/conversion.go`: the same object, some of its keys renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

GROUP = "events.k8s.io"
_OUTWARD = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_INWARD = {new: old for old, new in _OUTWARD.items()}


def outward(event: Mapping[str, Any]) -> Json:
    """The event of events.k8s.io/v1 that a core/v1 event is. Clients insist on an `eventTime`, which old ones
    have not.
    """
    made = event["metadata"].get("creationTimestamp")
    when = event.get("eventTime") or event.get("firstTimestamp") or made
    return {**_renamed(event, _OUTWARD, f"{GROUP}/v1"), "eventTime": when}


def inward(event: Mapping[str, Any]) -> Json:
    """The core/v1 event that an event of events.k8s.io/v1 is."""
    return _renamed(event, _INWARD, "v1")


def _renamed(event: Mapping[str, Any], names: Mapping[str, str], api_version: str) -> Json:
    renamed = {names.get(key, key): value for key, value in event.items()}
    return {**renamed, "apiVersion": api_version} if "apiVersion" in event else renamed
