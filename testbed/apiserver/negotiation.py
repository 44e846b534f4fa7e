"""What a client wants to read, and in what form it writes: Accept and Content-Type.

Source: Kubernetes API concepts, "Alternate representations of resources".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from testbed.apiserver.failure import bad_request, not_acceptable, unsupported_media_type
from testbed.apiserver.patching import APPLY_PATCH, CONTENT_TYPES

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
"""Which kubectl and other programs in Go write objects in, and do not insist to read."""
_YAML = "application/yaml"
_INCLUDES = ("None", "Metadata", "Object")
_ANY = frozenset({JSON, "*/*", "application/*"})


class Shape(Enum):
    """What is told of an object."""

    WHOLE = ""
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


@dataclass(frozen=True, slots=True)
class Form:
    """How objects are told: `version` is that of the table or the metadata."""

    shape: Shape = Shape.WHOLE
    version: str = "v1"
    include: str = "Metadata"
    """What a table's row says of its object: Object, Metadata or None."""

    @property
    def api_version(self) -> str:
        return f"meta.k8s.io/{self.version}"


_AGGREGATED = ("APIGroupDiscoveryList", "apidiscovery.k8s.io")
_SHAPES = {
    "Table": Shape.TABLE,
    "PartialObjectMetadata": Shape.METADATA,
    "PartialObjectMetadataList": Shape.METADATA,
}


def form(accept: str, include: str = "") -> Form:
    """How a client wants objects, from its Accept header and `includeObject`. Raises ApiFailure (400, 406)."""
    if include not in {"", *_INCLUDES}:
        raise bad_request(
            f"unrecognized includeObject value {include[:60]!r}: it is none of {_INCLUDES}"
        )
    for media_type, parameters in _ranges(accept):
        if media_type not in _ANY:
            continue
        wanted = parameters.get("as", "")
        if not wanted:
            return Form()
        version = parameters.get("v", "v1")
        if (
            parameters.get("g") == "meta.k8s.io"
            and version in {"v1", "v1beta1"}
            and wanted in _SHAPES
        ):
            return Form(_SHAPES[wanted], version, include or "Metadata")
    raise not_acceptable([JSON])


def discovery_version(accept: str) -> str:
    """The version of aggregated discovery that a client wants; "": it wants the plain documents.

    Raises ApiFailure (406).
    """
    for media_type, parameters in _ranges(accept):
        if media_type not in _ANY:
            continue
        if not parameters.get("as"):
            return ""
        version = parameters.get("v", "")
        what = (parameters["as"], parameters.get("g"))
        if what == _AGGREGATED and version in {"v2", "v2beta1"}:
            return version
    raise not_acceptable([JSON])


def media_types(accept: str) -> list[str]:
    """What a client reads, the most wanted first."""
    return [media_type for media_type, _ in _ranges(accept)]


def body_type(content_type: str) -> str:
    """The media type of an object's body. Raises ApiFailure (415)."""
    return _known(content_type or JSON, (JSON, _YAML, PROTOBUF))


def patch_type(content_type: str) -> str:
    """The media type of a patch. Raises ApiFailure (415)."""
    return _known(content_type, CONTENT_TYPES)


def is_yaml(media_type: str) -> bool:
    """Whether a body of that type need not be JSON."""
    return media_type in {_YAML, APPLY_PATCH}


def _known(content_type: str, known: tuple[str, ...]) -> str:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in known:
        raise unsupported_media_type(known)
    return media_type


def _ranges(accept: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Media ranges and their parameters, the most wanted first."""
    found = []
    for one in (accept or JSON).split(","):
        media_type, *rest = [part.strip() for part in one.split(";")]
        pairs = (part.partition("=") for part in rest)
        found.append((media_type.lower(), {key.strip(): value.strip() for key, _, value in pairs}))
    return iter(sorted(found, key=lambda item: -_quality(item[1].get("q", "1"))))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
