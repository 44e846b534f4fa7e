"""Server-side apply: who owns which fields of an object, and what an apply or an update makes of it.

Kubernetes notes owners of every object. Here an object has them from its first apply on: until then all of it
belongs to `before-first-apply`, as in Kubernetes for objects older than the feature.
Source: structured-merge-diff's `merge/update.go`, and apimachinery's managedfields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from testbed.apiserver import field_paths
from testbed.apiserver.failure import ApiFailure, Cause
from testbed.apiserver.field_paths import Path
from testbed.apiserver.shapes import Shape

Json = dict[str, Any]

APPLY, UPDATE = "Apply", "Update"
_BEFORE = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields: a name, and by which way it wrote them."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        part = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.name}"{part} using {self.api_version}'


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns, since when."""

    manager: Manager
    paths: frozenset[Path]
    time: str


def owners(document: Mapping[str, Any]) -> tuple[Owned, ...]:
    """The owners that an object's metadata names."""
    found = document.get("metadata", {}).get("managedFields") or ()
    return tuple(
        Owned(
            Manager(
                entry.get("manager", ""),
                entry.get("operation", UPDATE),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            ),
            field_paths.decoded(entry.get("fieldsV1") or {}),
            entry.get("time", ""),
        )
        for entry in found
        if isinstance(entry, Mapping)
    )


def with_owners(document: Json, found: Iterable[Owned]) -> Json:
    """The object with its owners written down; who owns nothing any more is left out."""
    metadata = {key: one for key, one in document["metadata"].items() if key != "managedFields"}
    entries = [_entry(one) for one in found if one.paths]
    own = {"managedFields": entries} if entries else {}
    return {**document, "metadata": {**metadata, **own}}


def _entry(one: Owned) -> Json:
    manager = one.manager
    entry: Json = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": one.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": field_paths.encoded(one.paths),
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry


def apply(
    live: Json | None, wanted: Json, shape: Shape, mine: Owned, *, force: bool = False
) -> tuple[Json, tuple[Owned, ...]]:
    """The object with what is wanted of it, and its owners then. `mine` names who wants it, and when.

    Raises ApiFailure (409) where that would change what others own, unless by force. What this manager wanted
    before and wants no more goes, where nobody else owns it.
    """
    paths = frozenset(field_paths.fields_of(wanted, shape))
    if live is None:
        return wanted, (replace(mine, paths=paths),)
    before = field_paths.fields_of(live, shape)
    found = owners(live) or (_first(before, mine),)
    merged = field_paths.applied(live, wanted, shape)
    now = field_paths.fields_of(merged, shape)
    changed = _changed(before, now)
    others = [one for one in found if one.manager != mine.manager]
    if not force:
        _refuse_conflicts(others, changed & paths)
    others = [replace(one, paths=one.paths - (changed & paths)) for one in others]
    last = next(
        (one for one in found if one.manager == mine.manager), replace(mine, paths=frozenset())
    )
    merged = field_paths.without(merged, _given_up(last.paths - paths, others, paths), shape)
    time = last.time if last.paths == paths and merged == live else mine.time
    return merged, (*others, Owned(mine.manager, paths, time))


def _changed(before: Mapping[Path, Any], now: Mapping[Path, Any]) -> frozenset[Path]:
    """What is new or other than it was."""
    return frozenset(
        path for path, value in now.items() if path not in before or before[path] != value
    )


def _first(before: Iterable[Path], mine: Owned) -> Owned:
    manager = Manager(_BEFORE, UPDATE, mine.manager.api_version)
    return Owned(manager, frozenset(before), mine.time)


def _refuse_conflicts(others: Sequence[Owned], changed: frozenset[Path]) -> None:
    conflicts = [(one.manager, path) for one in others for path in sorted(one.paths & changed)]
    if not conflicts:
        return
    causes = [
        Cause("FieldManagerConflict", f"conflict with {manager}", field_paths.shown(path))
        for manager, path in conflicts
    ]
    raise ApiFailure(409, "Conflict", _told(conflicts), causes=causes)


def _told(conflicts: Sequence[tuple[Manager, Path]]) -> str:
    by_manager: dict[Manager, list[str]] = {}
    for manager, path in conflicts:
        by_manager.setdefault(manager, []).append(field_paths.shown(path))
    count = len(conflicts)
    sentences = []
    for manager, paths in by_manager.items():
        if len(paths) == 1:
            sentences.append(f"conflict with {manager}: {paths[0]}")
        else:
            listed = "".join(f"\n- {path}" for path in paths)
            sentences.append(f"conflicts with {manager}:{listed}")
    plural = "" if count == 1 else "s"
    return f"Apply failed with {count} conflict{plural}: " + "\n".join(sentences)


def _given_up(
    paths: frozenset[Path], others: Sequence[Owned], mine: frozenset[Path]
) -> frozenset[Path]:
    """Of the paths that are wanted no more, those below or at which nobody owns anything."""
    kept = {
        owned[:length]
        for owned in (*(path for one in others for path in one.paths), *mine)
        for length in range(1, len(owned) + 1)
    }
    return paths - kept


def update(before: Json, after: Json, shape: Shape, mine: Owned) -> tuple[Owned, ...]:
    """The owners of an object that is replaced: who changes a field owns it, alone. None where it has none.

    A client may say itself who owns what, as kubectl does when it goes over to server-side apply; one empty
    entry makes an object forget its owners.
    """
    found = owners(after)
    if not any(one.paths for one in found):
        return ()
    was, now = field_paths.fields_of(before, shape), field_paths.fields_of(after, shape)
    changed = _changed(was, now)
    gone = frozenset(was) - frozenset(now)
    if not changed and not gone:
        return found
    others = [
        replace(one, paths=one.paths - changed - gone)
        for one in found
        if one.manager != mine.manager
    ]
    own = next((one.paths for one in found if one.manager == mine.manager), frozenset())
    paths = (own | changed) - gone
    return (*others, replace(mine, paths=paths))
