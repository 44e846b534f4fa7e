"""Strategic merge patches: lists merge by what tells their items apart, and directives say the rest.

Source: apimachinery's `pkg/util/strategicpatch`, and the API conventions on patches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from testbed.apiserver.failure import bad_request
from testbed.apiserver.patching import undoable
from testbed.apiserver.shapes import Shape

Json = dict[str, Any]

_DIRECTIVE, _RETAIN_KEYS = "$patch", "$retainKeys"
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merged(document: Json, patch: Any, shape: Shape) -> Json:
    """The document with the patch merged in. Raises ApiFailure: 400 for what is no patch, 422 for one that
    cannot be done.
    """
    if not isinstance(patch, Mapping):
        raise bad_request("error decoding patch: a strategic merge patch is a mapping")
    return _mapping(document, patch, shape)


def _mapping(original: Mapping[str, Any], patch: Mapping[str, Any], shape: Shape) -> Json:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: _plain(value) for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in {None, "merge"}:
        raise bad_request(f"unknown patch type: {directive!r}")
    merged = _retained(original, patch)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            gone = _list(key, value)
            merged[name] = [item for item in merged.get(name) or [] if item not in gone]
        elif not key.startswith("$"):
            _merge_field(merged, key, value, shape.field(key))
    for key, value in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            _order_field(merged, name, _list(key, value), original, shape.field(name))
    return merged


def _retained(original: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    """A copy, of which only the keys that the patch wants to retain are left."""
    if _RETAIN_KEYS not in patch:
        return dict(original)
    wanted = _list(_RETAIN_KEYS, patch[_RETAIN_KEYS])
    strangers = {key for key in patch if not key.startswith("$")} - set(wanted)
    if strangers:
        raise bad_request(f"{_RETAIN_KEYS} lacks {', '.join(sorted(strangers))}")
    return {key: value for key, value in original.items() if key in wanted}


def _merge_field(merged: Json, key: str, value: Any, shape: Shape) -> None:
    before = merged.get(key)
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, Mapping) and isinstance(before, Mapping) and not shape.replaces:
        merged[key] = _mapping(before, value, shape)
    elif isinstance(value, list) and isinstance(before, list) and shape.merges:
        merged[key] = _merged_list(before, value, shape)
    else:
        merged[key] = _plain(value)


def _merged_list(before: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if not any(isinstance(item, Mapping) for item in (*before, *patch)):
        return _ordered(list(dict.fromkeys([*before, *patch])), patch, before, _itself)
    identity = _identity(shape.merge_key)
    if any(isinstance(item, Mapping) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_plain(item) for item in patch if _DIRECTIVE not in item]
    items, added = list(before), []
    for item in patch:
        name = identity(item)
        # Two items may look alike by this key (port 53 of TCP and of UDP): the first one is meant.
        place = next((at for at, one in enumerate(items) if identity(one) == name), None)
        directive = item.get(_DIRECTIVE)
        if directive == "delete":
            items = [one for one in items if identity(one) != name]
        elif directive not in {None, "merge"}:
            raise bad_request(f"unknown patch type: {directive!r}")
        elif place is None:
            items.append(_plain(item))
            added.append(item)
        else:
            items[place] = _mapping(items[place], item, shape.item())
            added.append(item)
    return _ordered(items, added, before, identity)


def _order_field(
    merged: Json, name: str, order: list[Any], original: Mapping[str, Any], shape: Shape
) -> None:
    items = merged.get(name)
    if not isinstance(items, list):
        return
    by_key = any(isinstance(item, Mapping) for item in (*items, *order))
    identity = _identity(shape.merge_key) if by_key else _itself
    merged[name] = _ordered(items, order, original.get(name) or [], identity)


def _ordered(
    items: list[Any],
    order: Sequence[Any],
    before: Sequence[Any],
    identity: Callable[[Any], Hashable],
) -> list[Any]:
    """What the patch names in the patch's order; what only the server has stays before what it was before."""
    places = {identity(item): place for place, item in enumerate(order)}
    were = {identity(item): place for place, item in reversed(list(enumerate(before)))}
    named = sorted(
        (item for item in items if identity(item) in places),
        key=lambda item: places[identity(item)],
    )
    others = [item for item in items if identity(item) not in places]
    merged: list[Any] = []
    for item in named:
        place = were.get(identity(item), -1)
        while others and were.get(identity(others[0]), place) < place:
            merged.append(others.pop(0))
        merged.append(item)
    return [*merged, *others]


def _identity(merge_key: str) -> Callable[[Any], Hashable]:
    if not merge_key:
        raise undoable("cannot merge lists without merge key")

    def identity(item: Any) -> Hashable:
        if not isinstance(item, Mapping) or not isinstance(item.get(merge_key), str | int):
            raise undoable(f"map: {item} does not contain declared merge key: {merge_key}")
        value: Hashable = item[merge_key]
        return value

    return identity


def _itself(item: Any) -> Hashable:
    if not isinstance(item, Hashable):
        raise undoable(f"cannot merge a list of {type(item).__name__}s")
    return item


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"invalid patch format of {key}: it is a list")
    return value


def _plain(value: Any) -> Any:
    """What is new by a patch, without its directives and nulls."""
    if isinstance(value, Mapping):
        return {
            key: _plain(inner)
            for key, inner in value.items()
            if inner is not None and not key.startswith("$")
        }
    if isinstance(value, list):
        return [_plain(inner) for inner in value if not _is_deletion(inner)]
    return copy.copy(value)


def _is_deletion(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(_DIRECTIVE) == "delete"
