"""A server in a thread of its own, and the store behind it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from testbed.apiserver.presented import Face
from testbed.apiserver.server import ApiServer
from testbed.apiserver.writing import Writer
from testbed.store import Create, Store
from tests.addresses import PLAN
from tests.flows import cluster, nodes

FACE = Face(("10.96.0.0/16",), 1_700_000_000.0)
TOKEN, USER = "sesame", "kubernetes-admin"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answered:
    """What a server answered."""

    code: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """`is_open`: as on a node of mode external, read-only and without tokens."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = Store(lambda: 1.0)
        self.events: list[dict[str, Any]] = []
        self.store.apply([Create(item) for item in (*nodes(PLAN), *cluster(PLAN))])
        self.head = {} if is_open else {"Authorization": f"Bearer {TOKEN}"}
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self.call(self._make(is_open))
        self.call(self.server.start(sock))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _make(self, is_open: bool) -> ApiServer:
        if is_open:
            return ApiServer(self.store, FACE, self.events.append)
        users = {TOKEN: USER}
        writer = Writer(self.store, lambda: 1.0, FACE)
        return ApiServer(self.store, FACE, users=users.get, writer=writer)

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def write(self, *writes: Any) -> None:
        async def apply() -> None:
            self.store.apply(writes)

        self.call(apply())

    def open(self, path: str, method: str = "GET", body: bytes | None = None, **head: str) -> Any:
        headers = self.head | {key.replace("_", "-"): value for key, value in head.items()}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        return urllib.request.urlopen(request, timeout=PATIENCE_S)

    def ask(self, path: str, method: str = "GET", body: Any = None, **head: str) -> Answered:
        """Whatever it answers, be it a failure."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            head.setdefault("Content_Type", "application/json")
        try:
            with self.open(path, method, data, **head) as answer:
                return Answered(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, error.headers, error.read())

    def get(self, path: str, **head: str) -> Any:
        with self.open(path, **head) as answer:
            return json.load(answer)

    def watch(self, path: str, **head: str) -> Iterator[Any]:
        """Its events. The request is under way when this returns."""
        answer = self.open(path, **head)

        def events() -> Iterator[Any]:
            with answer:
                for line in answer:
                    yield json.loads(line)

        return events()


def status(answer: Answered) -> Mapping[str, Any]:
    """The Status that a failure is told by."""
    found: Mapping[str, Any] = answer.json
    assert (found["kind"], found["apiVersion"], found["code"]) == ("Status", "v1", answer.code)
    return found
