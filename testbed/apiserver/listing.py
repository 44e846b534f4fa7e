"""A list, page by page, of one version of the objects: limit, continue and resourceVersion.

Source: Kubernetes API concepts, "Retrieving large results sets in chunks" and "Resource versions".
"""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.apiserver.failure import ApiFailure, Cause, bad_request, gone
from testbed.apiserver.history import History
from testbed.apiserver.list_options import EXACT, ListOptions, Selection
from testbed.model.objects.metadata import Object
from testbed.store import Key

_INCONSISTENT = -1
"""In a token: go on with what is there then."""
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new "
    "list without the continue parameter, or use the continue token in this response to retrieve the "
    "remainder of the results. Continuing with the provided token results in an inconsistent list - "
    "objects that were created, modified, or deleted between the time the first chunk was returned and "
    "now may show up in the list."
)


class Expired(ApiFailure):
    """A list cannot be gone on with as it began; `token` goes on with what is there now."""

    def __init__(self, token: str) -> None:
        super().__init__(410, "Expired", _TOO_OLD)
        self._token = token

    def status(self) -> dict[str, object]:
        return {**super().status(), "metadata": {"continue": self._token}}


@dataclass(frozen=True, slots=True)
class State:
    """A kind's objects now, and what has changed of them."""

    table: Mapping[Key, Object]
    keys: Sequence[Key]
    """Of the table, in order."""
    resource_version: int
    history: History


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `token` "": it is the last."""

    items: tuple[Object, ...]
    resource_version: int
    token: str = ""
    remaining: int | None = None
    """How many come after it, where that is known without looking."""


@dataclass(frozen=True, slots=True)
class _Token:
    """Where a list goes on: after `key`, at a version."""

    resource_version: int
    key: Key

    def spelled(self) -> str:
        said = {"v": "meta.k8s.io/v1", "rv": self.resource_version, "start": "/".join(self.key)}
        return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def _token(text: str) -> _Token:
    try:
        said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, _, name = said["start"].rpartition("/")
        return _Token(int(said["rv"]), (namespace, name))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad_request(
            "continue key is not valid: it was made by no list of this API"
        ) from error


def page(state: State, options: ListOptions) -> Page:
    """What a list answers. Raises ApiFailure: 400, 410, 504 (of a version that is not there yet)."""
    start: Key | None = None
    version, table, keys = state.resource_version, state.table, state.keys
    if options.token:
        token = _token(options.token)
        start = token.key
        if token.resource_version != _INCONSISTENT:
            version = token.resource_version
            found = state.history.as_of(state.table, version)
            if found is None:
                raise Expired(_Token(_INCONSISTENT, token.key).spelled())
            table = found
    elif options.resource_version:
        not_in_the_future(options.resource_version, state.resource_version)
        if options.match == EXACT or (options.limit and not options.match):
            version = options.resource_version
            table = _exactly(state, version)
    if table is not state.table:
        keys = sorted(table)
    return _cut(table, keys, start, version, options)


def _exactly(state: State, version: int) -> Mapping[Key, Object]:
    found = state.history.as_of(state.table, version)
    if found is None:
        raise gone(f"The resourceVersion for the provided list is too old: {version}")
    return found


def not_in_the_future(wanted: int, current: int) -> None:
    """Raises ApiFailure (504) where a version is asked for that is not there yet: the client tries again."""
    if wanted > current:
        message = f"Too large resource version: {wanted}, current: {current}"
        cause = Cause("ResourceVersionTooLarge", "Too large resource version", "")
        raise ApiFailure(504, "Timeout", message, causes=(cause,), retry_after_s=1)


def _cut(
    table: Mapping[Key, Object],
    keys: Sequence[Key],
    start: Key | None,
    version: int,
    options: ListOptions,
) -> Page:
    selection = options.selection
    found: list[Object] = []
    keys = _candidates(table, keys, selection)
    first = bisect_right(keys, start) if start is not None else 0
    for place in range(first, len(keys)):
        key = keys[place]
        item = table[key]
        if not selection.takes(item):
            continue
        if options.limit and len(found) == options.limit:
            meta = found[-1].meta
            token = _Token(version, (meta.namespace, meta.name)).spelled()
            remaining = None if selection.tests else len(keys) - place
            return Page(tuple(found), version, token, remaining)
        found.append(item)
    return Page(tuple(found), version)


def _candidates(
    table: Mapping[Key, Object], keys: Sequence[Key], selection: Selection
) -> Sequence[Key]:
    """The keys among which a selection is, without looking at what they name."""
    namespace, name = selection.namespace, selection.name
    if name and (namespace or not selection.resource.namespaced):
        return [(namespace, name)] if (namespace, name) in table else []
    if not namespace:
        return keys
    first = bisect_right(keys, (namespace, ""))
    after = bisect_right(keys, (namespace + "\0", ""))
    return keys[first:after]
