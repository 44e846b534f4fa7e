"""A document with a patch done, whichever form the patch has."""

from __future__ import annotations

from typing import Any

from testbed.apiserver.failure import unsupported_media_type
from testbed.apiserver.patching import (
    CONTENT_TYPES,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    json_patched,
    merge_patched,
)
from testbed.apiserver.shapes import Shape
from testbed.apiserver.strategic import strategic_merged

Json = dict[str, Any]


def patched(document: Json, content_type: str, patch: Any, shape: Shape) -> Json:
    """Raises ApiFailure: 400 and 422 as the forms do, 415 for none of them."""
    if content_type == JSON_PATCH:
        return json_patched(document, patch)
    if content_type == MERGE_PATCH:
        return merge_patched(document, patch)
    if content_type == STRATEGIC_MERGE_PATCH:
        return strategic_merged(document, patch, shape)
    raise unsupported_media_type(CONTENT_TYPES)
