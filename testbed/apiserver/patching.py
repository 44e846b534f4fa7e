"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386), refused in Kubernetes' words."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import jsonpatch
import jsonpointer

from testbed.apiserver.failure import ApiFailure, bad_request

Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
CONTENT_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
_MOST_OPERATIONS = 10_000


def json_patched(document: Json, patch: Any) -> Json:
    """The document with the operations done. Raises ApiFailure: 400 for what is no patch, 422 for one that
    cannot be done here.
    """
    if not isinstance(patch, list) or not all(isinstance(step, Mapping) for step in patch):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(patch) > _MOST_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(patch)}"
        raise ApiFailure(413, "RequestEntityTooLarge", message)
    try:
        found = jsonpatch.JsonPatch(patch).apply(document)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise undoable(str(error)) from error
    if not isinstance(found, dict):
        raise undoable("the patch leaves no object")
    return found


def merge_patched(document: Json, patch: Any) -> Json:
    """The document with the patch merged in: null removes, lists are replaced. Raises ApiFailure (400)."""
    if not isinstance(patch, Mapping):
        raise bad_request("error decoding patch: a merge patch is a mapping")
    return _merged(document, patch)


def _merged(document: Any, patch: Mapping[str, Any]) -> Json:
    merged = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key), value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def decoded(patch: bytes) -> Any:
    """The JSON of a body. Raises ApiFailure (400)."""
    try:
        return json.loads(patch)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"error decoding patch: {error}") from error


def undoable(why: str) -> ApiFailure:
    """422: a patch that makes sense, and not for this object."""
    message = f"the server rejected our request due to an error in our request: {why}"
    return ApiFailure(422, "Invalid", message)
