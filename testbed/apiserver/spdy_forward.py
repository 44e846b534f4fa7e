"""kubectl's port-forward: SPDY in a WebSocket, two streams for each connection: one for errors, one for data.

Source: KEP-4006; k8s.io/kubelet/pkg/cri/streaming/portforward.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from testbed.apiserver.spdy import Data, Frame, Opened, Ping, Reader, Reset, SpdyError, Writer
from testbed.apiserver.streaming import Pods, why
from testbed.errors import TestbedError
from testbed.model.objects.pods import Pod

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHUNK = 1 << 15
_WAITING = 64
"""Pieces that a pod has not taken yet, before the client has to wait."""


async def forward(request: web.Request, pod: Pod, pods: Pods) -> web.StreamResponse:
    """Serve a client until it has gone."""
    client = web.WebSocketResponse(protocols=(PROTOCOL,), compress=False)
    await client.prepare(request)
    tunnel = _Tunnel(client, pod, pods)
    try:
        async for message in client:
            if message.type is WSMsgType.BINARY:
                await tunnel.take(message.data)
    except SpdyError:
        await client.close(code=1002, message=b"no SPDY/3.1")
    finally:
        tunnel.close()
    return client


@dataclass(slots=True)
class _Connection:
    """One of a client's; `error` and `data` are its streams."""

    port: int
    error: int = 0
    data: int = 0
    waiting: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_WAITING))
    """For the pod; no bytes: that is all."""
    task: asyncio.Task[None] | None = None


class _Tunnel:
    def __init__(self, client: web.WebSocketResponse, pod: Pod, pods: Pods) -> None:
        self._client = client
        self._pod = pod
        self._pods = pods
        self._reader, self._writer = Reader(), Writer()
        self._by_request: dict[str, _Connection] = {}
        self._by_stream: dict[int, _Connection] = {}

    async def take(self, data: bytes) -> None:
        """What came from the client. Raises SpdyError."""
        for frame in self._reader.feed(data):
            await self._heard(frame)

    def close(self) -> None:
        """The client has gone."""
        for connection in self._by_stream.values():
            if connection.task is not None:
                connection.task.cancel()

    async def _heard(self, frame: Frame) -> None:
        match frame:
            case Ping():
                await self._client.send_bytes(self._writer.pong(frame))
            case Opened():
                await self._opened(frame)
            case Data(stream, data, over):
                connection = self._by_stream.get(stream)
                if connection is not None and stream == connection.data:
                    if data:
                        await connection.waiting.put(data)
                    if over:
                        await connection.waiting.put(b"")
            case Reset(stream):
                gone = self._by_stream.pop(stream, None)
                if gone is not None and gone.task is not None:
                    gone.task.cancel()

    async def _opened(self, stream: Opened) -> None:
        headers = {name.lower(): value for name, value in stream.headers.items()}
        port = headers.get("port", "")
        if not port.isdecimal():
            raise SpdyError(f"{port!r} is no port")
        request = headers.get("requestid", port)
        connection = self._by_request.setdefault(request, _Connection(int(port)))
        self._by_stream[stream.stream] = connection
        await self._client.send_bytes(self._writer.accepted(stream.stream))
        if headers.get("streamtype") == "error":
            connection.error = stream.stream
        else:
            connection.data = stream.stream
        if connection.error and connection.data:
            del self._by_request[request]
            connection.task = asyncio.create_task(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        """Carry bytes both ways until both have no more."""
        failure = ""
        try:
            sock = await self._pods.connect(self._pod, connection.port)
            with sock:
                sending = asyncio.create_task(_send(sock, connection.waiting))
                try:
                    await self._receive(sock, connection.data)
                finally:
                    sending.cancel()
        except (OSError, TestbedError) as error:
            name = f"{self._pod.meta.namespace}/{self._pod.meta.name}"
            failure = f"error forwarding port {connection.port} to pod {name}: {why(error)}"
        with contextlib.suppress(ConnectionError):
            await self._client.send_bytes(
                self._writer.data(connection.error, failure.encode(), over=True)
            )
            await self._client.send_bytes(self._writer.data(connection.data, b"", over=True))

    async def _receive(self, sock: socket.socket, stream: int) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, _CHUNK):
            await self._client.send_bytes(self._writer.data(stream, data))


async def _send(sock: socket.socket, waiting: asyncio.Queue[bytes]) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # it has closed: what it said last is still to be read
        while data := await waiting.get():
            await loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)
