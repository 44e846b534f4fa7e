"""Kubernetes objects as Kubernetes' JSON, and back without loss.

What Kubernetes has no place for (times of CLOCK_MONOTONIC) is under the top-level key `testbed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.errors import UsageError
from testbed.model.fields import Fields, Mistake
from testbed.model.manifest_read import READERS
from testbed.model.manifest_write import WRITERS
from testbed.model.objects import KINDS, Object
from testbed.spelling import nearest

API_VERSIONS = {
    "Node": "v1",
    "Pod": "v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
}


class ManifestError(UsageError):
    """A manifest that is no object the testbed knows: every mistake, each with its path."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


def to_manifest(item: Object) -> dict[str, Any]:
    """The object as plain JSON values, keys in Kubernetes' order; empty fields are left out."""
    return {
        "apiVersion": API_VERSIONS[item.kind],
        "kind": item.kind,
        **WRITERS[item.kind](item),
    }


def from_manifest(manifest: Any, default_namespace: str = "default") -> Object:
    """The object that a manifest describes. Raises ManifestError with every mistake in it."""
    mistakes: list[Mistake] = []
    fields = Fields(manifest, (), mistakes)
    item = _read(fields, default_namespace)
    if item is None or mistakes:
        raise ManifestError(tuple(mistakes))
    return item


def _read(fields: Fields, default_namespace: str) -> Object | None:
    if not isinstance(fields.values, Mapping) or fields.mistakes:
        return None
    kind = fields.text("kind", required=True)
    if not kind:
        return None
    if kind not in KINDS:
        meant = nearest(kind, KINDS)
        hint = f"did you mean {meant}?" if meant else "leave it out"
        fields.wrong("kind", f"kind {kind[:60]!r} is none of {', '.join(KINDS)}", hint)
        return None
    version = fields.text("apiVersion", required=True)
    if version and version != API_VERSIONS[kind]:
        fields.wrong("apiVersion", f"{kind} is in {API_VERSIONS[kind]}, not in {version[:60]!r}")
    item: Object = READERS[kind](fields, default_namespace)
    return item
