"""pods/NAME/portforward: TCP connections to a pod's ports, through the API.

Client libraries speak v4.channel.k8s.io: a WebSocket that has two channels for each port, the first for data.
kubectl speaks SPDY within one: `spdy_forward`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import WSMsgType, web

from testbed.apiserver import spdy_forward
from testbed.apiserver.failure import bad_request
from testbed.apiserver.pod_commands import require_websocket
from testbed.apiserver.streaming import Pods, why
from testbed.errors import TestbedError
from testbed.model.objects.pods import Pod

CHANNELS = ("v4.channel.k8s.io", "portforward.k8s.io")
_CHUNK = 1 << 16


async def pod_port_forward(request: web.Request, pod: Pod, pods: Pods) -> web.StreamResponse:
    """Forward connections to ports of a pod."""
    require_websocket(request)
    if pod.status.phase != "Running":
        raise bad_request(
            f"unable to forward port because pod is not running. Current status={pod.status.phase}"
        )
    if spdy_forward.PROTOCOL in request.headers.get("Sec-WebSocket-Protocol", ""):
        return await spdy_forward.forward(request, pod, pods)
    return await _channels(request, pod, pods, _ports(request))


def _ports(request: web.Request) -> list[int]:
    texts = [text for one in request.query.getall("ports", ()) for text in one.split(",")]
    if not all(text.isdecimal() and 0 < int(text) < 65536 for text in texts):
        raise bad_request(f"ports: {','.join(texts)} are no port numbers")
    return [int(text) for text in texts]


async def _channels(
    request: web.Request, pod: Pod, pods: Pods, ports: list[int]
) -> web.StreamResponse:
    if not ports:
        raise bad_request('query parameter "ports" is required')
    client = web.WebSocketResponse(protocols=CHANNELS, compress=False)
    await client.prepare(request)
    for index, port in enumerate(ports):
        number = port.to_bytes(2, "little")
        await client.send_bytes(bytes([2 * index]) + number)
        await client.send_bytes(bytes([2 * index + 1]) + number)
    connections = [
        _Connection(client, pod, pods, 2 * index, port) for index, port in enumerate(ports)
    ]
    try:
        async for message in client:
            if message.type is WSMsgType.BINARY and message.data:
                channel = message.data[0]
                if channel % 2 == 0 and channel // 2 < len(connections):
                    await connections[channel // 2].feed(message.data[1:])
    finally:
        for connection in connections:
            connection.close()
    return client


class _Connection:
    """To one port, made when there is something to send."""

    def __init__(
        self, client: web.WebSocketResponse, pod: Pod, pods: Pods, channel: int, port: int
    ) -> None:
        self._client = client
        self._pod = pod
        self._pods = pods
        self._channel = channel
        self._port = port
        self._socket: socket.socket | None = None
        self._reading: asyncio.Task[None] | None = None

    async def feed(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._socket is None:
                self._socket = await self._pods.connect(self._pod, self._port)
                self._reading = asyncio.create_task(self._read(self._socket))
            await loop.sock_sendall(self._socket, data)
        except (OSError, TestbedError) as error:
            name = f"{self._pod.meta.namespace}/{self._pod.meta.name}"
            failure = f"error forwarding port {self._port} to pod {name}: {why(error)}"
            await self._client.send_bytes(bytes([self._channel + 1]) + failure.encode())

    async def _read(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(sock, _CHUNK):
                await self._client.send_bytes(bytes([self._channel]) + data)
        # No channel can be closed by itself.
        await self._client.close()

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._socket is not None:
            self._socket.close()
