"""The fields of an object as paths, which managers own: `f:spec`, `k:{"name":"web"}`, `v:"x"`, …

Source: structured-merge-diff, and the format FieldsV1 of `metadata.managedFields`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from testbed.apiserver.shapes import Shape

Path = tuple[str, ...]
Fields = Mapping[Path, Any]
"""What is at each path that somebody can own: values, atomic wholes, and items of lists (as `ITEM`)."""

ITEM = object()
"""An item of a list that is there; its fields have paths of their own."""
_NOBODYS = frozenset(
    [
        *(("f:apiVersion",), ("f:kind",)),
        *(
            ("f:metadata", f"f:{key}")
            for key in (
                *("name", "namespace", "generateName", "uid", "resourceVersion", "generation"),
                *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
                *("selfLink", "managedFields"),
            )
        ),
    ]
)
"""What has no owner: an object's identity, and the server's own."""


def fields_of(document: Mapping[str, Any], shape: Shape) -> dict[Path, Any]:
    """Every field of an object."""
    return {path: value for path, value in _walk(document, shape, ()) if path[:2] not in _NOBODYS}


def _walk(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value and not (path and shape.atomic):
        for key, inner in value.items():
            yield from _walk(inner, shape.field(key), (*path, f"f:{key}"))
    elif isinstance(value, list) and value and not shape.atomic:
        for item in value:
            here = (*path, element(item, shape))
            yield here, ITEM
            if isinstance(item, Mapping) and not shape.is_set:
                yield from _walk(item, shape.item(), here)
    else:
        yield path, value


def element(item: Any, shape: Shape) -> str:
    """What tells an item of a list from the others."""
    if isinstance(item, Mapping) and not shape.is_set:
        return "k:" + _compact(shape.keys_of(item))
    return "v:" + _compact(item)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def encoded(paths: Iterable[Path]) -> dict[str, Any]:
    """As FieldsV1 writes them: mappings within mappings, `.` for a path that goes on and is owned itself."""
    root: dict[str, Any] = {}
    wanted = sorted(paths)
    for path in wanted:
        inner = root
        for part in path:
            inner = inner.setdefault(part, {})
    for path in wanted:
        inner = root
        for part in path:
            inner = inner[part]
        if inner and "." not in inner:
            rest = dict(inner)
            inner.clear()
            inner.update({".": {}, **rest})
    return root


def decoded(fields: Mapping[str, Any]) -> frozenset[Path]:
    """The paths that a FieldsV1 names; what is none of them is passed over, since clients may write any."""
    return frozenset(_paths(fields, ()))


def _paths(fields: Any, path: Path) -> Iterator[Path]:
    inner = fields if isinstance(fields, Mapping) else {}
    if path and (not inner or "." in inner):
        yield path
    for part, below in inner.items():
        if _is_part(part):
            yield from _paths(below, (*path, part))


def _is_part(part: str) -> bool:
    kind, colon, rest = part.partition(":")
    if not colon or kind not in {"f", "k", "v"}:
        return False
    if kind != "k":
        return True
    try:
        return isinstance(json.loads(rest), dict)
    except ValueError:
        return False


def shown(path: Path) -> str:
    """As messages have it: `.spec.ports[port=80,protocol="TCP"].name`."""
    return "".join(map(_shown_part, path))


def _shown_part(part: str) -> str:
    kind, _, rest = part.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = json.loads(rest)
        return f"[{','.join(f'{key}={_compact(value)}' for key, value in keys.items())}]"
    return f"[={rest}]"


def applied(live: Mapping[str, Any], wanted: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """The live object with all that is wanted of it."""
    merged: dict[str, Any] = _merged(live, wanted, shape, top=True)
    return merged


def _merged(live: Any, wanted: Any, shape: Shape, *, top: bool = False) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping) and (top or not shape.atomic):
        inner = {
            key: _merged(live[key], value, shape.field(key)) if key in live else value
            for key, value in wanted.items()
        }
        return {**live, **inner}
    if isinstance(live, list) and isinstance(wanted, list) and not shape.atomic:
        items = {element(item, shape): item for item in live}
        for item in wanted:
            name = element(item, shape)
            items[name] = _merged(items[name], item, shape.item()) if name in items else item
        return list(items.values())
    return wanted


def without(document: Mapping[str, Any], paths: Iterable[Path], shape: Shape) -> dict[str, Any]:
    """The object without what is at these paths, and without lists and free mappings that are empty then."""
    gone = frozenset(paths)
    left: dict[str, Any] = _without(document, gone, shape, ())
    return left


def _without(value: Any, gone: frozenset[Path], shape: Shape, path: Path) -> Any:
    """Nothing that is on no path to what goes is looked into."""
    if not any(one[: len(path)] == path for one in gone):
        return value
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            here, of = (*path, f"f:{key}"), shape.field(key)
            left = inner if here in gone else _without(inner, gone, of, here)
            emptied = not left and bool(inner) and "properties" not in of.schema
            if here not in gone and not emptied:
                kept[key] = left
        return kept
    if isinstance(value, list) and not shape.atomic:
        return [
            _without(item, gone, shape.item(), here)
            for item in value
            if (here := (*path, element(item, shape))) not in gone
        ]
    return value
