"""What a manifest says beyond the fields of `model.objects`, kept so that it can be given back.

`remainder` takes from a document what is known of it; `merged` puts it back under what is known by then. Where
both speak, what is known wins: it is what controllers change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_IDENTITIES = ("name", "uid", "type", "containerPort", "port", "ip", "address", "key")
"""What tells the items of a list of mappings apart: the first of these that all have, each another."""


@dataclass(frozen=True, slots=True)
class ListRemainder:
    """The rests of a list's items: by the value of `identity`, or by index where that is None."""

    identity: str | None
    rests: Mapping[Any, Json]
    unknown: tuple[Any, ...] = ()
    """Whole items of which nothing is known."""


def remainder(document: Json, known: Json) -> dict[str, Any]:
    """What `document` has that `known` has not; `null` counts as absent."""
    rest: dict[str, Any] = {}
    for key, value in document.items():
        if value is None:
            continue
        if key not in known:
            rest[key] = value
            continue
        left = _rest_of(value, known[key])
        if left:
            rest[key] = left
    return rest


def _rest_of(value: Any, known: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        return remainder(value, known)
    if _are_mappings(value) and _are_mappings(known):
        return _list_remainder(value, known)
    return None


def _list_remainder(items: Sequence[Json], known: Sequence[Json]) -> ListRemainder | None:
    identity = _identity(items, known)
    if identity is None:
        if len(items) != len(known):
            return None
        found = {index: remainder(item, known[index]) for index, item in enumerate(items)}
        rests = {index: rest for index, rest in found.items() if rest}
        return ListRemainder(None, rests) if rests else None
    by_identity = {item[identity]: item for item in known}
    rests, unknown = {}, []
    for item in items:
        same = by_identity.get(item[identity])
        if same is None:
            unknown.append(item)
        elif rest := remainder(item, same):
            rests[item[identity]] = rest
    return ListRemainder(identity, rests, tuple(unknown)) if rests or unknown else None


def _are_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)


def _identity(*lists: Sequence[Json]) -> str | None:
    return next((key for key in _IDENTITIES if all(_tells_apart(key, one) for one in lists)), None)


def _tells_apart(key: str, items: Sequence[Json]) -> bool:
    values = {item[key] for item in items if isinstance(item.get(key), str | int)}
    return len(values) == len(items)


def merged(known: Json, rest: Json) -> dict[str, Any]:
    """The document again: what is known, and what was left over."""
    document = dict(known)
    for key, left in rest.items():
        document[key] = _merged_value(known[key], left) if key in known else _plain(left)
    return document


def _merged_value(known: Any, left: Any) -> Any:
    if isinstance(known, Mapping) and isinstance(left, Mapping):
        return merged(known, left)
    if isinstance(left, ListRemainder) and _are_mappings(known):
        return _merged_list(known, left)
    return known


def _merged_list(known: Sequence[Json], left: ListRemainder) -> list[Any]:
    names = [
        index if left.identity is None else item.get(left.identity)
        for index, item in enumerate(known)
    ]
    items = [
        merged(item, left.rests.get(name, {})) for name, item in zip(names, known, strict=True)
    ]
    return [*items, *(one for one in left.unknown if one.get(left.identity) not in names)]


def _plain(left: Any) -> Any:
    """A rest beside which nothing is known any more, without what only completed something."""
    if isinstance(left, ListRemainder):
        return list(left.unknown)
    return left
