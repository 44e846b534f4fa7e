"""The HTTP server of a lab's API, or of one node's view of the store, in the caller's event loop.

Source: Kubernetes API concepts.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from time import time

from aiohttp import web

from testbed.apiserver import discovery_answers, openapi_answers, reviews
from testbed.apiserver.answers import encoded_answer, in_parts, json_answer
from testbed.apiserver.bodies import LIMIT, mapping
from testbed.apiserver.changing import changed, received, verb
from testbed.apiserver.failure import ApiFailure, forbidden, method_not_allowed, not_found
from testbed.apiserver.feed import Feed, Source
from testbed.apiserver.front import Users, middlewares, user
from testbed.apiserver.list_options import list_options, resource_version
from testbed.apiserver.listing import not_in_the_future, page
from testbed.apiserver.negotiation import JSON, form
from testbed.apiserver.presented import Face
from testbed.apiserver.rendering import Renderer
from testbed.apiserver.resources import Json
from testbed.apiserver.routing import Target, target
from testbed.apiserver.subresources import scale_of
from testbed.apiserver.watching import Watch
from testbed.apiserver.writing import Writer
from testbed.model.objects.metadata import Object
from testbed.store import Change

_READING = frozenset({"GET", "HEAD"})
_STREAMED = frozenset({"attach", "exec", "log", "portforward", "proxy"})
Streams = Callable[[Target, web.Request], Awaitable[web.StreamResponse]]
"""Answers a request to one of these parts of a pod or a service. May raise ApiFailure until it has begun to."""
_NOT_HERE = "the server does not allow this method on the requested resource"


class ApiServer:
    """Serves on sockets that the caller has bound, wherever they are.

    With `users`, only whoever has a token of one comes in. With `writer`, clients can change the store. With
    `on_event` instead, events that they post are told to it, and kinds that the lab does not store are derived.
    `streams` answers whatever reaches into pods.
    """

    def __init__(
        self,
        source: Source,
        face: Face,
        on_event: Callable[[Json], None] | None = None,
        *,
        users: Users | None = None,
        writer: Writer | None = None,
        streams: Streams | None = None,
    ) -> None:
        self._feed = Feed(source, face, derive=on_event is not None)
        self._renderer = Renderer(face, time)
        self._on_event = on_event
        self._users = users
        self._writer = writer
        self._streams = streams
        self._watches: dict[str, set[Watch]] = {}
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

    def _changed(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.type == "DELETED":
                self._renderer.forget(change.object)
        for kind in self._feed.add(changes):
            for watch in self._watches.get(kind, ()):
                watch.wake()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=LIMIT, middlewares=middlewares(self._users))
        for path in ("/healthz", "/livez", "/readyz"):
            application.router.add_get(path, _ok)
            application.router.add_get(path + "/{check}", _ok)
        for path, answer in {**discovery_answers.handlers(), **openapi_answers.handlers()}.items():
            application.router.add_get(path, answer)
            application.router.add_get(path + "/", answer)
        application.router.add_route("*", "/{path:.*}", self._answer)
        application.on_response_prepare.append(_warned)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        where = target(request.rel_url.raw_path)
        if where.subresource is not None and where.subresource.name in _STREAMED:
            return await self._stream(where, request)
        if request.method in _READING:
            return await self._read(where, request)
        if self._on_event is not None:
            return await self._noted(where, self._on_event, request)
        is_review = where.resource.kind.endswith("Review")
        if is_review and request.method == "POST" and not where.name:
            body = await received(request)
            return json_answer(reviews.review(where.resource, body, user()), 201)
        if self._writer is not None:
            return await changed(self._writer, where, request)
        raise method_not_allowed(_NOT_HERE, where.resource)

    async def _stream(self, where: Target, request: web.Request) -> web.StreamResponse:
        verb(request.method, where)
        if self._streams is None:
            raise method_not_allowed("nothing here reaches into pods", where.resource)
        return await self._streams(where, request)

    # Reading

    async def _read(self, where: Target, request: web.Request) -> web.StreamResponse:
        if "get" not in where.resource.verbs:
            raise method_not_allowed(_NOT_HERE, where.resource)
        if self._users is None and where.resource.stored == "Secret":
            raise forbidden(where.resource, where.name, "whoever asks here has shown no token")
        if where.subresource is not None:
            return await self._part(where, request)
        if where.name:
            return self._one(where, request)
        return await self._many(where, request)

    def _one(self, where: Target, request: web.Request) -> web.Response:
        resource = where.resource
        told = form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))
        not_in_the_future(resource_version(request.query) or 0, self._feed.resource_version)
        return encoded_answer(self._renderer.one(self._existing(where), resource, told))

    async def _many(self, where: Target, request: web.Request) -> web.StreamResponse:
        told = form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))
        options = list_options(where.resource, where.namespace, request.query)
        kind = where.resource.stored
        if not options.watch:
            found = page(self._feed.state(kind), options)
            return await in_parts(request, self._renderer.pages(found, where.resource, told))
        watch = Watch(self._feed, self._renderer, options, told)
        self._watches.setdefault(kind, set()).add(watch)
        try:
            return await watch.answer(request)
        finally:
            self._watches[kind].discard(watch)

    async def _part(self, where: Target, request: web.Request) -> web.StreamResponse:
        part = where.subresource.name if where.subresource is not None else ""
        if part == "status":
            return self._one(where, request)
        if part == "scale":
            whole = self._renderer.document(self._existing(where), where.resource)
            return json_answer(scale_of(whole))
        raise method_not_allowed(_NOT_HERE, where.resource)

    def _existing(self, where: Target) -> Object:
        item = self._feed.get(where.resource.stored, where.namespace, where.name)
        if item is None:
            raise not_found(where.resource, where.name)
        return item

    # Writing

    async def _noted(
        self, where: Target, note: Callable[[Json], None], request: web.Request
    ) -> web.Response:
        """Of a server that stores nothing: events are taken all the same, which cannot be read back."""
        is_patch = request.method == "PATCH"
        if where.resource.stored != "Event" or not (is_patch or request.method == "POST"):
            why = "this API is read-only: testbed up changes a lab"
            raise method_not_allowed(why, where.resource)
        event = mapping(await request.read(), JSON) if is_patch else await received(request)
        note(event)
        return json_answer(event, 200 if is_patch else 201)


async def _warned(request: web.Request, response: web.StreamResponse) -> None:
    """Whoever asks for what is deprecated is told so."""
    with contextlib.suppress(ApiFailure):  # of what is no path of a resource
        if warning := target(request.rel_url.raw_path).resource.warning:
            response.headers.add("Warning", f'299 - "{warning}"')


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")
