"""Objects -> the bytes of an answer: each version of an object is encoded once, whoever asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from testbed.apiserver import event_forms, tables
from testbed.apiserver.history import Told
from testbed.apiserver.listing import Page
from testbed.apiserver.negotiation import Form, Shape
from testbed.apiserver.presented import Face, served
from testbed.apiserver.resources import Json, Resource
from testbed.model.objects.metadata import Object
from testbed.store import Change

_ITEMS = 200
"""Of a list, encoded in one go: between two goes others have their turn."""
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}
_Key = tuple[str, str, str, str]

_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(document: Any) -> bytes:
    """JSON without spaces."""
    return _encoder.encode(document).encode()


class Renderer:
    """Of one server. `wall_s` tells the time (s of the Unix epoch), for ages in tables."""

    def __init__(self, face: Face, wall_s: Callable[[], float]) -> None:
        self._face = face
        self._wall_s = wall_s
        self._encoded: dict[_Key, tuple[Object, bytes]] = {}

    def document(self, item: Object, resource: Resource) -> Json:
        """The object as a client reads it."""
        return served(item, resource, self._face)

    def forget(self, item: Object) -> None:
        """It is gone."""
        meta = item.meta
        for group in ("", event_forms.GROUP):
            self._encoded.pop((group, item.kind, meta.namespace, meta.name), None)

    def one(self, item: Object, resource: Resource, form: Form) -> bytes:
        """The answer to a get."""
        if form.shape is Shape.WHOLE:
            return self._whole(item, resource)
        return self._shaped(self.document(item, resource), resource, form)

    def pages(self, page: Page, resource: Resource, form: Form) -> Iterator[bytes]:
        """The answer to a list, in parts."""
        head, key = _list_head(page, resource, form)
        yield encode(head)[:-1] + f',"{key}":['.encode()
        now_s, between = self._wall_s(), b""
        for at in range(0, len(page.items), _ITEMS):
            some = (self._item(one, resource, form, now_s) for one in page.items[at : at + _ITEMS])
            yield between + b",".join(some)
            between = b","
        yield b"]}"

    def event(self, told: Told, resource: Resource, form: Form, kind: str) -> bytes:
        """A line of a watch: `kind` ADDED, MODIFIED or DELETED of a change."""
        key = (resource.group, form, kind)
        line = told.lines.get(key)
        if line is None:
            line = told.lines[key] = self._line(told.change, resource, form, kind)
        return line

    def initial(self, items: Sequence[Object], resource: Resource, form: Form) -> Iterator[bytes]:
        """Lines of a watch that begins with what is there, in parts."""
        for at in range(0, len(items), _ITEMS):
            some = (self.one(item, resource, form) for item in items[at : at + _ITEMS])
            yield b"".join(_framed("ADDED", encoded) for encoded in some)

    def bookmark(self, resource: Resource, form: Form, version: int, *, initial: bool) -> bytes:
        """A line that says how far the watch is; `initial`: all that was there has been sent."""
        metadata: Json = {"resourceVersion": str(version)}
        if initial:
            metadata["annotations"] = INITIAL_EVENTS_END
        item: Json
        if form.shape is Shape.TABLE:
            item = {**tables.head(resource, form, {"resourceVersion": str(version)}), "rows": []}
        else:
            kind, group_version = resource.kind, resource.group_version
            item = {"kind": kind, "apiVersion": group_version, "metadata": metadata}
        if form.shape is Shape.METADATA:
            item = tables.partial(item, form)
        return _framed("BOOKMARK", encode(item))

    def _line(self, change: Change, resource: Resource, form: Form, kind: str) -> bytes:
        item = change.object
        if kind == "DELETED" and change.type != "DELETED" and change.previous is not None:
            item = change.previous  # a selector takes it no more: as it last took it
        if item.meta.resource_version == change.resource_version:
            return _framed(kind, self.one(item, resource, form))
        document = self.document(item, resource)
        document["metadata"]["resourceVersion"] = str(change.resource_version)
        return _framed(kind, self._shaped(document, resource, form))

    def _shaped(self, document: Json, resource: Resource, form: Form) -> bytes:
        if form.shape is Shape.WHOLE:
            return encode(document)
        if form.shape is Shape.METADATA:
            return encode(tables.partial(document, form))
        version = {"resourceVersion": document["metadata"]["resourceVersion"]}
        row = tables.row(resource, document, form, self._wall_s())
        return encode({**tables.head(resource, form, version), "rows": [row]})

    def _item(self, item: Object, resource: Resource, form: Form, now_s: float) -> bytes:
        if form.shape is Shape.WHOLE:
            return self._whole(item, resource)
        document = self.document(item, resource)
        if form.shape is Shape.METADATA:
            return encode(tables.partial(document, form))
        return encode(tables.row(resource, document, form, now_s))

    def _whole(self, item: Object, resource: Resource) -> bytes:
        key = (_group(resource), item.kind, item.meta.namespace, item.meta.name)
        held = self._encoded.get(key)
        if held is not None and held[0] is item:
            return held[1]
        encoded = encode(self.document(item, resource))
        self._encoded[key] = (item, encoded)
        return encoded


def _group(resource: Resource) -> str:
    """Where it matters to how an object of a kind is spelled."""
    return resource.group if resource.group == event_forms.GROUP else ""


def _list_head(page: Page, resource: Resource, form: Form) -> tuple[Json, str]:
    """A list without its items, and what they are called."""
    metadata: Json = {"resourceVersion": str(page.resource_version)}
    if page.token:
        metadata["continue"] = page.token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    if form.shape is Shape.TABLE:
        return tables.head(resource, form, metadata), "rows"
    kind, api_version = f"{resource.kind}List", resource.group_version
    if form.shape is Shape.METADATA:
        kind, api_version = "PartialObjectMetadataList", form.api_version
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata}, "items"


def _framed(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + encoded + b"}\n"
