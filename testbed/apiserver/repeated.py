"""Keys that a client's JSON says twice in one object: the last one counts, and fieldValidation is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from testbed.apiserver.decoding import Level
from testbed.apiserver.failure import bad_request
from testbed.apiserver.resources import Resource


def repeated(body: bytes, resource: Resource, level: Level) -> tuple[str, ...]:
    """Warnings, of a body that is JSON. Raises ApiFailure (400) where the level is Strict."""
    if level == "Ignore":
        return ()
    found = tuple(f'duplicate field "{path}"' for path in paths(body))
    if found and level == "Strict":
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(found)}"
        )
    return found


def paths(body: bytes) -> tuple[str, ...]:
    """Where keys are said again; none in what is no JSON, which others complain of."""
    objects: list[_Object] = []
    try:
        value = json.loads(body, object_pairs_hook=lambda pairs: _noted(pairs, objects))
        return tuple(_below(value, "")) if any(one.again for one in objects) else ()
    except (ValueError, RecursionError):
        return ()


class _Object:
    """A JSON object with all its pairs."""

    __slots__ = ("again", "pairs")

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs
        self.again = len(dict(pairs)) < len(pairs)


def _noted(pairs: list[tuple[str, Any]], objects: list[_Object]) -> _Object:
    objects.append(_Object(pairs))
    return objects[-1]


def _below(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Object):
        seen = set()
        for key, inner in value.pairs:
            here = f"{path}.{key}" if path else key
            if key in seen:
                yield here
            seen.add(key)
            yield from _below(inner, here)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _below(inner, f"{path}[{index}]")
