"""The objects of the store as clients of Kubernetes expect them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.apiserver.resources import Json
from testbed.model.manifest import to_manifest
from testbed.model.objects import Node, Object


@dataclass(frozen=True, slots=True)
class Face:
    """What the API shows that is not in the store."""

    service_cidrs: tuple[str, ...]
    unix_offset_s: float
    """Wall-clock time at CLOCK_MONOTONIC's zero."""


def presented(item: Object, face: Face) -> Json:
    """An object as clients of Kubernetes expect it."""
    manifest = to_manifest(item)
    manifest.pop("testbed", None)
    manifest["metadata"]["creationTimestamp"] = _wall(item.meta.creation_s, face)
    if item.meta.deletion_s is not None:
        manifest["metadata"]["deletionTimestamp"] = _wall(item.meta.deletion_s, face)
    if isinstance(item, Node):
        addresses = manifest.setdefault("status", {}).setdefault("addresses", [])
        addresses.append({"type": "Hostname", "address": item.meta.name})
    return manifest


def _wall(time_s: float, face: Face) -> str:
    """RFC 3339, to the second."""
    return datetime.fromtimestamp(time_s + face.unix_offset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
