"""The HTTP server of one node's view of the store: read-only, plain HTTP, in the caller's event loop.

Source: the Kubernetes API concepts of list, watch, bookmarks, `sendInitialEvents` (KEP-3157) and 410 Gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aiohttp import web

from testbed.apiserver import documents
from testbed.apiserver.derived import DERIVED
from testbed.apiserver.history import (
    History,
    Selection,
    by_key,
    derived_events,
    events,
)
from testbed.apiserver.presented import Face
from testbed.apiserver.resources import RESOURCES, Json, Resource
from testbed.apiserver.selectors import field_selector, label_selector
from testbed.errors import UsageError
from testbed.store import Change, Snapshot, Watcher

_BOOKMARK_S = 60.0
"""An idle watch is told how far it is so often, as kube-apiserver does."""
_LONGEST_WATCH_S = 1800.0
"""A watch that does not say how long it wants to last; clients begin another one."""
EVENT_ROOTS = ("/api/v1", "/apis/events.k8s.io/v1")
"""Where clients post events; they are noted, and cannot be read back."""
_SERVED = tuple(one for one in RESOURCES if one.stored and one.kind not in {"Event", "Secret"})
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Source(Protocol):
    """Where the server's state comes from: the store, or what stands between it and a node."""

    def snapshot(self) -> Snapshot: ...

    def watch(self, watcher: Watcher) -> Callable[[], None]: ...


class ApiServer:
    """Serves on a socket that the caller has bound, wherever that is. `on_event` hears of posted events."""

    def __init__(self, source: Source, face: Face, on_event: Callable[[Json], None]) -> None:
        self._source = source
        self._face = face
        self._on_event = on_event
        self._history = History(source.snapshot().resource_version)
        self._news: set[asyncio.Event] = set()
        self._cancel = source.watch(self._changed)
        self._runner: web.AppRunner | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begin to serve on a socket, or on one more."""
        if self._runner is None:
            self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
        await web.SockSite(self._runner, sock, ssl_context=tls).start()

    async def stop(self) -> None:
        """Serve no more; open watches end."""
        self._cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 22)
        for path, document in documents.discovery(_SERVED).items():
            application.router.add_get(path, _fixed(document))
        for path in ("/healthz", "/livez", "/readyz"):
            application.router.add_get(path, _ok)
        for resource in _SERVED:
            self._add(application, resource)
        for root in EVENT_ROOTS:
            for path in ("/events", "/namespaces/{namespace}/events"):
                application.router.add_post(root + path, self._posted)
            named = "/namespaces/{namespace}/events/{name}"
            application.router.add_route("PATCH", root + named, self._posted)
        application.router.add_route("*", "/{path:.*}", _not_found)
        return application

    def _add(self, application: web.Application, resource: Resource) -> None:
        async def collection(request: web.Request) -> web.StreamResponse:
            return await self._collection(resource, request)

        async def one(request: web.Request) -> web.StreamResponse:
            return self._one(resource, request)

        paths = [f"{resource.root}/{resource.plural}"]
        if resource.namespaced:
            within = f"{resource.root}/namespaces/{{namespace}}/{resource.plural}"
            paths.append(within)
            application.router.add_get(f"{within}/{{name}}", one)
        else:
            application.router.add_get(f"{paths[0]}/{{name}}", one)
        for path in paths:
            application.router.add_get(path, collection)

    # Requests

    def _one(self, resource: Resource, request: web.Request) -> web.Response:
        name, namespace = request.match_info["name"], request.match_info.get("namespace", "")
        selection = Selection(resource, namespace, (field_selector(f"metadata.name={name}"),))
        found = next(selection.of(self._source.snapshot(), self._face), None)
        if found is None:
            return _failure(404, "NotFound", f'{resource.plural} "{name}" not found')
        return _json(found)

    async def _collection(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        query = request.query
        try:
            tests = (
                label_selector(query.get("labelSelector", "")),
                field_selector(query.get("fieldSelector", "")),
            )
        except UsageError as error:
            return _failure(400, "BadRequest", str(error))
        selection = Selection(resource, request.match_info.get("namespace", ""), tests)
        if query.get("watch", "false") in {"1", "true"}:
            return await self._watch(selection, request)
        snapshot = self._source.snapshot()
        items = selection.of(snapshot, self._face)
        return _json(documents.object_list(resource, items, snapshot.resource_version))

    async def _posted(self, request: web.Request) -> web.Response:
        try:
            event = await request.json()
        except ValueError:
            return _failure(400, "BadRequest", "the body is no JSON")
        self._on_event(event)
        return _json(event, 201 if request.method == "POST" else 200)

    # Watches

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._history.add(changes)
        for news in self._news:
            news.set()

    async def _watch(self, selection: Selection, request: web.Request) -> web.StreamResponse:
        query = request.query
        at = query.get("resourceVersion", "")
        for number in (at, query.get("timeoutSeconds", "")):
            if number and not number.isdecimal():
                return _failure(400, "BadRequest", f"{number!r} is no number")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        news = asyncio.Event()
        self._news.add(news)
        seconds = min(float(query.get("timeoutSeconds") or _LONGEST_WATCH_S), _LONGEST_WATCH_S)
        initial = query.get("sendInitialEvents") == "true"
        stream = _Stream(self, selection, response, query.get("allowWatchBookmarks") == "true")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    if initial or at in {"", "0"}:
                        await stream.begin_with_all(initial)
                        await stream.follow(news)
                    elif await stream.begin_at(int(at)):
                        await stream.follow(news)
            await response.write_eof()
        except ConnectionResetError:  # the client has gone
            pass
        finally:
            self._news.discard(news)
        return response

    @property
    def history(self) -> History:
        """What has changed."""
        return self._history

    def items(self, selection: Selection) -> tuple[int, list[Json]]:
        """The version now and the objects that a selection takes."""
        snapshot = self._source.snapshot()
        return snapshot.resource_version, list(selection.of(snapshot, self._face))

    def events(self, selection: Selection, changes: Iterable[Change]) -> list[Json]:
        """The watch events of changes."""
        return list(events(selection, changes, self._face))


class _Stream:
    """One watch."""

    def __init__(
        self,
        server: ApiServer,
        selection: Selection,
        response: web.StreamResponse,
        bookmarks: bool,
    ) -> None:
        self._server = server
        self._selection = selection
        self._response = response
        self._bookmarks = bookmarks
        self._at = 0
        """The version that is told."""
        self._position = 0
        self._derived: dict[tuple[str, str], Json] = {}

    async def begin_with_all(self, tell_the_end: bool) -> None:
        """Everything that is there as ADDED, and then that this was all."""
        self._position = self._server.history.position
        self._at, items = self._server.items(self._selection)
        self._derived = by_key(items)
        await self._send({"type": "ADDED", "object": item} for item in items)
        if tell_the_end:
            resource = self._selection.resource
            await self._send([documents.bookmark(resource, self._at, initial=True)])

    async def begin_at(self, resource_version: int) -> bool:
        """Only what changes after a version; False: that is too long ago. What is derived has no history:
        it is all told again, which a client takes for no change.
        """
        self._at, self._position = resource_version, self._server.history.position
        return await self._tell(self._server.history.after(resource_version))

    async def follow(self, news: asyncio.Event) -> None:
        """Changes as they come, until the caller's time is up; ends where too many were missed."""
        while True:
            news.clear()
            position, self._position = self._position, self._server.history.position
            if not await self._tell(self._server.history.following(position)):
                return
            try:
                await asyncio.wait_for(news.wait(), _BOOKMARK_S)
            except TimeoutError:
                if self._bookmarks:
                    await self._send([documents.bookmark(self._selection.resource, self._at)])

    async def _tell(self, changes: list[Change] | None) -> bool:
        """Send what changes mean for this watch; False: 410, because they are forgotten (None)."""
        if self._selection.resource.stored in DERIVED:
            before = self._derived
            self._at, items = self._server.items(self._selection)
            self._derived = by_key(items)
            await self._send(derived_events(before, self._derived))
            return True
        if changes is None:
            message = f"too old resource version: {self._at}"
            gone = documents.status(410, "Expired", message)
            await self._send([{"type": "ERROR", "object": gone}])
            return False
        self._at = max([self._at, *(change.resource_version for change in changes)])
        await self._send(self._server.events(self._selection, changes))
        return True

    async def _send(self, items: Iterable[Json]) -> None:
        data = "".join(_encode(item) + "\n" for item in items)
        if data:
            await self._response.write(data.encode())


def _json(document: Json, code: int = 200) -> web.Response:
    return web.Response(body=_encode(document), status=code, content_type="application/json")


def _failure(code: int, reason: str, message: str) -> web.Response:
    return _json(documents.status(code, reason, message), code)


def _fixed(document: Json) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    body = _encode(document)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _not_found(request: web.Request) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        return _failure(405, "MethodNotAllowed", "this API is read-only: testbed up changes a lab")
    return _failure(404, "NotFound", f"the server could not find {request.path}")
