"""Objects of a topology that the lab only stores for others: checked, and completed, as the API does it.

The schemas take a moment to read: only topologies that have such objects wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.resources import RESOURCES
from testbed.model.documents import DOCUMENTS
from testbed.model.fields import Mistake, path_of
from testbed.model.manifest import from_client, to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.topology import Topology


def stored_kinds(topology: Topology) -> list[Mistake]:
    """Every mistake in them, at its place in the topology."""
    return [
        mistake.below(("manifests", index))
        for index, manifest in enumerate(topology.manifests)
        if isinstance(manifest, dict) and manifest.get("kind") in DOCUMENTS
        for mistake in _mistakes(manifest)
    ]


def _mistakes(manifest: Mapping[str, Any]) -> Iterator[Mistake]:
    from testbed.apiserver import schema

    resource = next(
        (one for one in RESOURCES if _kind(manifest) == (one.kind, one.group_version)), None
    )
    if resource is None:  # of another version: the model has said so
        return
    document = {**manifest, "metadata": {"namespace": "default", **_metadata(manifest)}}
    if not resource.namespaced:
        del document["metadata"]["namespace"]
    try:
        causes, _ = schema.validate(document, resource, "Strict")
    except ApiFailure as failure:
        yield Mistake((), failure.message)
        return
    for cause in causes:
        yield Mistake(path_of(cause.field), cause.message)


def _kind(manifest: Mapping[str, Any]) -> tuple[Any, Any]:
    return manifest.get("kind"), manifest.get("apiVersion")


def _metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    found = manifest.get("metadata")
    return dict(found) if isinstance(found, Mapping) else {}


def completed(objects: Sequence[Object]) -> list[Object]:
    """With what Kubernetes fills in, in those that are only stored."""
    return [_completed(item) if item.kind in DOCUMENTS else item for item in objects]


def _completed(item: Object) -> Object:
    from testbed.apiserver import schema

    return from_client(schema.defaulted(to_manifest(item)))
