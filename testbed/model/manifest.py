"""Kubernetes objects as Kubernetes' JSON, and back without loss.

What Kubernetes has no place for (times of CLOCK_MONOTONIC) is under the top-level key `testbed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.errors import UsageError
from testbed.model.documents import DOCUMENTS, document
from testbed.model.fields import Fields, Mistake
from testbed.model.manifest_read import READERS
from testbed.model.manifest_write import WRITERS, document_manifest
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.remainder import merged, remainder
from testbed.spelling import nearest

API_VERSIONS = {
    "Node": "v1",
    "Pod": "v1",
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    **{kind: found.api_version for kind, found in DOCUMENTS.items()},
}
_STAMPS = ("creationTimestamp", "deletionTimestamp", "selfLink", "uid", "resourceVersion")
"""Of metadata: not the manifest's to say."""


class ManifestError(UsageError):
    """A manifest that is no object the testbed knows: every mistake, each with its path."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


def to_manifest(item: Object) -> dict[str, Any]:
    """The object as plain JSON values, keys in Kubernetes' order; empty fields are left out."""
    known = {"apiVersion": API_VERSIONS[item.kind], "kind": item.kind, **_written(item)}
    return merged(known, item.meta.rest) if item.meta.rest else known


def _written(item: Object) -> dict[str, Any]:
    return WRITERS.get(item.kind, document_manifest)(item)


def from_manifest(manifest: Any, default_namespace: str = "default") -> Object:
    """The object that a manifest describes, with all that it says.

    Raises ManifestError with every mistake in it, of which a key that means nothing here is one.
    """
    return _with_rest(_read(manifest, default_namespace, whole=False), manifest)


def from_client(manifest: Any, default_namespace: str = "default") -> Object:
    """As `from_manifest`, of what a client of Kubernetes says, who may use keys that mean nothing here.

    `to_manifest` gives them back.
    """
    return _with_rest(_read(manifest, default_namespace, whole=True), manifest)


def what_is_known(manifest: Any) -> Object:
    """As `from_client`, but only as far as the model's own fields go. Raises ManifestError."""
    return _read(manifest, "default", whole=True)


def _with_rest(item: Object, manifest: Any) -> Object:
    rest = remainder(manifest, to_manifest(item))
    metadata = {key: value for key, value in rest.get("metadata", {}).items() if key not in _STAMPS}
    return with_meta(item, rest={**rest, "metadata": metadata} if metadata else _less(rest))


def _less(rest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rest.items() if key != "metadata"}


def _read(manifest: Any, default_namespace: str, *, whole: bool) -> Object:
    mistakes: list[Mistake] = []
    fields = Fields(manifest, (), mistakes, open=whole)
    item = _object(fields, default_namespace)
    if item is None or mistakes:
        raise ManifestError(tuple(mistakes))
    return item


def _object(fields: Fields, default_namespace: str) -> Object | None:
    if not isinstance(fields.values, Mapping) or fields.mistakes:
        return None
    kind = fields.text("kind", required=True)
    if not kind:
        return None
    if kind not in API_VERSIONS:
        meant = nearest(kind, API_VERSIONS)
        hint = f"did you mean {meant}?" if meant else f"there is {', '.join(API_VERSIONS)}"
        fields.wrong("kind", f"no kind {kind[:60]!r}", hint)
        return None
    version = fields.text("apiVersion", required=True)
    if version and version != API_VERSIONS[kind]:
        fields.wrong("apiVersion", f"{kind} is in {API_VERSIONS[kind]}, not in {version[:60]!r}")
    if kind in DOCUMENTS:
        return document(DOCUMENTS[kind], fields, default_namespace)
    item: Object = READERS[kind](fields, default_namespace)
    return item
