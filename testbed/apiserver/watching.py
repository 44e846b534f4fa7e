"""A watch: what changes, a line each, until the client has had enough.

A watch holds no events of its own, only its place in the history that all share. One that falls so far behind
that the history has forgotten its place ends; the others do not notice.
Source: Kubernetes API concepts, "Efficient detection of changes", and KEP-3157 (`sendInitialEvents`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web

from testbed.apiserver.failure import gone
from testbed.apiserver.feed import Feed
from testbed.apiserver.history import Told
from testbed.apiserver.list_options import ListOptions
from testbed.apiserver.listing import not_in_the_future
from testbed.apiserver.negotiation import Form
from testbed.apiserver.rendering import Renderer, encode
from testbed.store import Change

BOOKMARK_S = 60.0
"""An idle watch is told how far it is so often, as kube-apiserver does."""
_BATCH = 500
"""Changes written in one go, at most."""
_GRACE_S = 10.0
"""How long the end of an answer may take whose client does not read."""


class Watch:
    """One of a server's. Raises ApiFailure (504) at once where it begins in the future."""

    def __init__(self, feed: Feed, renderer: Renderer, options: ListOptions, form: Form) -> None:
        self._feed = feed
        self._renderer = renderer
        self._options = options
        self._selection = options.selection
        self._resource = options.selection.resource
        self._form = form
        self._history = feed.history(self._resource.stored)
        self._news = asyncio.Event()
        self._position = self._history.position
        self._after = 0
        """Changes up to this version are known to the client."""
        self._is_bookmark_due = False
        if options.initial_events and options.resource_version:
            not_in_the_future(options.resource_version, feed.resource_version)

    def wake(self) -> None:
        """Something of its kind has changed."""
        self._news.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tell the client until its time is up, it has gone, or it is too slow."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        ticking = self._tick(request)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.timeout_s):
                    if await self._begin(response):
                        await self._follow(response)
            async with asyncio.timeout(_GRACE_S):
                await response.write_eof()
        except (ConnectionError, TimeoutError):  # the client has gone, or might as well have
            _abort(request)
        finally:
            ticking.cancel()
        return response

    async def _begin(self, response: web.StreamResponse) -> bool:
        """Tell what there is, or what has changed since a version; False: it is too long ago."""
        options = self._options
        wants_all = options.initial_events
        if wants_all is None:
            wants_all = not options.resource_version
        if wants_all:
            await self._tell_all(response)
            return True
        if not options.resource_version:
            return True
        self._after = options.resource_version
        place = self._history.place_after(self._after)
        if place is None:
            await self._expire(response)
            return False
        self._position = place
        return True

    async def _tell_all(self, response: web.StreamResponse) -> None:
        state, options = self._feed.state(self._resource.stored), self._options
        self._position = self._history.position
        items = [state.table[key] for key in state.keys]
        taken = [item for item in items if self._selection.takes(item)]
        for part in self._renderer.initial(taken, self._resource, self._form):
            await response.write(part)
            await asyncio.sleep(0)
        if options.initial_events and options.bookmarks:
            await response.write(self._bookmark(state.resource_version, initial=True))

    async def _follow(self, response: web.StreamResponse) -> None:
        """Changes as they come; ends where some are forgotten before they could be told."""
        while True:
            self._news.clear()
            told = self._history.following(self._position, _BATCH)
            if told is None:
                return await self._expire(response)
            self._position += len(told)
            data = b"".join(self._lines(told))
            if self._is_bookmark_due and not told:
                self._is_bookmark_due = False
                data += self._bookmark(max(self._after, self._feed.resource_version))
            if data:
                await response.write(data)
            if not told:
                await self._news.wait()

    def _lines(self, several: Iterable[Told]) -> Iterator[bytes]:
        for told in several:
            if told.change.resource_version > self._after and (kind := self._kind(told.change)):
                yield self._renderer.event(told, self._resource, self._form, kind)

    def _kind(self, change: Change) -> str:
        """What a change is for this watch, which may see an object come and go as its labels change; "":
        nothing.
        """
        takes = self._selection.takes
        is_in = change.type != "DELETED" and takes(change.object)
        was_in = change.previous is not None and takes(change.previous)
        if is_in:
            return "MODIFIED" if was_in else "ADDED"
        return "DELETED" if was_in else ""

    def _bookmark(self, version: int, *, initial: bool = False) -> bytes:
        return self._renderer.bookmark(self._resource, self._form, version, initial=initial)

    async def _expire(self, response: web.StreamResponse) -> None:
        message = f"too old resource version: {self._after} ({self._history.since})"
        event = {"type": "ERROR", "object": gone(message).status()}
        await response.write(encode(event) + b"\n")

    def _tick(self, request: web.Request) -> _Ticking:
        def tick() -> None:
            if self._history.following(self._position, 1) is None:
                _abort(request)  # it does not read, and what it has not read is forgotten
            elif self._options.bookmarks:
                self._is_bookmark_due = True
                self._news.set()

        return _Ticking(tick)


class _Ticking:
    """Calls again and again until it is cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(BOOKMARK_S, self._tick)

    def cancel(self) -> None:
        self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(BOOKMARK_S, self._tick)
        self._call()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
