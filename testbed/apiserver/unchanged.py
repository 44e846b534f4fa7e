"""What an update leaves as it is stays as it is stored: defaults that nobody has said are not written down.

A Deployment whose stored template says less than its clients are shown would otherwise roll out all its pods
anew when somebody labels it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def as_stored(now: Json, then: Json, stored: Json) -> dict[str, Any]:
    """`now`, but what of it is as in `then` is as in `stored`; defaults are filled in both `now` and `then`."""
    kept = {}
    for key, value in now.items():
        before, raw = then.get(key), stored.get(key)
        if key in then and value == before:
            if key in stored:
                kept[key] = raw
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            kept[key] = as_stored(value, before, raw if isinstance(raw, Mapping) else {})
        elif isinstance(value, list) and isinstance(before, list) and isinstance(raw, list):
            kept[key] = [_item_as_stored(one, before, raw) for one in value]
        else:
            kept[key] = value
    return kept


def _item_as_stored(item: Any, then: list[Any], stored: list[Any]) -> Any:
    """An item of a list, whose like is found by its type or name (conditions, addresses, …)."""
    before, raw = _of_that_name(item, then), _of_that_name(item, stored)
    if not isinstance(item, Mapping) or not isinstance(before, Mapping) or raw is None:
        return item
    return as_stored(item, before, raw)


def _of_that_name(item: Any, items: list[Any]) -> Json | None:
    name = _name(item)
    return next((one for one in items if name and _name(one) == name), None)


def _name(item: Any) -> tuple[str, Any] | None:
    if not isinstance(item, Mapping):
        return None
    return next(((key, item[key]) for key in ("type", "name") if key in item), None)
