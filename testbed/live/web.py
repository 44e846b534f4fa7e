"""A lab on a page: this machine's loopback only, for whoever has the token, as it changes.

The token is in the page's address. Whoever else is on the machine, and whatever a browser is lured to
(DNS rebinding: the Host header must be ours), gets nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from testbed.errors import OutOfTimeOrRoom
from testbed.live.lines import event_text
from testbed.live.watcher import Glance, Watcher

LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGE_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_BEHIND = 16
"""Looks that a slow reader may be behind; then it misses some."""
_KEPT_EVENTS = 200
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Tell = Callable[[str], None]
Shown = dict[str, object]


def serve(
    watcher: Watcher, port: int, period_s: float, ends_at_s: float | None, tell: Tell
) -> bool:
    """Serve until Ctrl-C, SIGTERM or the end of the time; False where the lab ended before.

    `tell` hears the page's address. Raises OutOfTimeOrRoom for a port that is taken.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen()  # who is told of the page may come before the loop runs
    except OSError as error:
        sock.close()
        raise OutOfTimeOrRoom(
            f"cannot serve on {LOOPBACK}:{port}: {error.strerror}", "leave --port out: any free one"
        ) from None
    token = secrets.token_urlsafe(24)
    tell(f"http://{LOOPBACK}:{sock.getsockname()[1]}/?token={token}")
    tell("this machine only, whoever has the address; Ctrl-C ends it")
    return asyncio.run(
        _serve(sock, Page(token, sock.getsockname()[1]), watcher, period_s, ends_at_s)
    )


async def _serve(
    sock: socket.socket, page: Page, watcher: Watcher, period_s: float, ends_at_s: float | None
) -> bool:
    runner = web.AppRunner(page.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, over.set)
    try:
        while not over.is_set() and (ends_at_s is None or time.monotonic() < ends_at_s):
            # In a thread: a lab that is slow to answer must not keep the page waiting.
            glance = await asyncio.to_thread(watcher.glance)
            page.show(glance)
            if glance is None:
                return False
            left_s = period_s if ends_at_s is None else min(period_s, ends_at_s - time.monotonic())
            try:
                await asyncio.wait_for(over.wait(), max(0.0, left_s))
            except TimeoutError:
                continue
        return True
    finally:
        page.close()
        await runner.cleanup()


class Page:
    """The page, and the stream of looks that it reads (server-sent events)."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}
        self._readers: set[asyncio.Queue[str]] = set()
        self._last: Shown | None = None
        self._events: list[Shown] = []

    def application(self) -> web.Application:
        """What is served: the page at /, and /stream."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/", self._page)
        application.router.add_get("/stream", self._stream, allow_head=False)
        return application

    def show(self, glance: Glance | None) -> None:
        """Tell every reader; None: the lab has ended."""
        if glance is None:
            self._tell("event: end\ndata: {}\n\n")
            return
        events: list[Shown] = [
            {"at": event.at_s, "text": event_text(event)} for event in glance.events
        ]
        self._last = glance.to_json()
        self._events = [*self._events, *events][-_KEPT_EVENTS:]
        self._tell(_message(self._last, events))

    def close(self) -> None:
        """Let every reader go."""
        self._tell("")

    def _tell(self, message: str) -> None:
        for reader in self._readers:
            if reader.full():
                reader.get_nowait()
            reader.put_nowait(message)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in self._hosts:
            return _refused(403, "this page is served to http://127.0.0.1 only")
        given = request.query.get("token", "")
        if not given:
            return _refused(401, "the address lacks its token: use the one that `watch` printed")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _refused(403, "this is not the token that `watch` printed")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _refused(error.status, error.reason)

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        text = (files("testbed.live") / "templates" / "watch.html").read_text("utf-8")
        nonce = secrets.token_urlsafe(16)
        policy = {"Content-Security-Policy": _PAGE_POLICY.format(nonce=nonce)}
        return web.Response(
            text=text.replace("NONCE", nonce), content_type="text/html", headers=_HEADERS | policy
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        news: asyncio.Queue[str] = asyncio.Queue(_BEHIND)
        if self._last is not None:
            news.put_nowait(_message(self._last, self._events))
        self._readers.add(news)
        try:
            while message := await news.get():
                await response.write(message.encode())
            await response.write_eof()
        except ConnectionError:  # the reader has gone
            pass
        finally:
            self._readers.discard(news)
        return response


def _message(glance: Shown, events: list[Shown]) -> str:
    return f"data: {json.dumps({**glance, 'events': events}, ensure_ascii=False)}\n\n"


def _refused(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n", headers=_HEADERS)
