"""pods/NAME/exec and attach: a process's streams as channels of a WebSocket.

A message begins with the number of its channel. Source: k8s.io/apimachinery/pkg/util/remotecommand;
pkg/kubelet's wsstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import Any

from aiohttp import WSMsgType, web

from testbed.apiserver.failure import ApiFailure, bad_request
from testbed.apiserver.streaming import Pods, Process, container_of, flag, not_reached
from testbed.errors import TestbedError
from testbed.model.objects.pods import Pod

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_MAX_MESSAGE = 64 << 20
_MANY_BYTES = 1 << 20
"""Waiting to be sent: the process waits, too."""
_PING_S = 20.0


async def pod_exec(request: web.Request, pod: Pod, pods: Pods) -> web.StreamResponse:
    """Run a command in a container."""
    argv = tuple(request.query.getall("command", ()))
    if not argv:
        raise bad_request("you must specify at least one command for the container")
    container = container_of(pod, request.query.get("container", ""))
    tty, streams = flag(request.query.get("tty")), _asked(request)
    socket = await _upgraded(request)
    try:
        stdin = tty or "stdin" in streams
        process = await pods.execute(pod, container, argv, stdin=stdin, tty=tty)
    except TestbedError as error:
        await _tell(socket, _not_started(error))
        return socket
    try:
        code = await _Channels(socket, process, streams, from_start=True).serve()
    finally:
        process.signal(signal.SIGKILL if not tty else signal.SIGHUP)
    if code is not None:
        await _tell(socket, exit_status(code))
    return socket


async def pod_attach(request: web.Request, pod: Pod, pods: Pods) -> web.StreamResponse:
    """Be at the streams of a container's own process."""
    container = container_of(pod, request.query.get("container", ""))
    process = pods.process(pod, container.name)
    if process is None:
        raise not_reached(f"container {container.name} has no process to attach to")
    streams = _asked(request) - (frozenset() if container.stdin else {"stdin"})
    socket = await _upgraded(request)
    code = await _Channels(socket, process, streams, once=container.stdin_once).serve()
    if code is not None:
        await _tell(socket, exit_status(code))
    return socket


def _asked(request: web.Request) -> frozenset[str]:
    """The streams that a client wants. Raises ApiFailure where that is none."""
    streams = frozenset(
        name for name in ("stdin", "stdout", "stderr") if flag(request.query.get(name))
    )
    if not streams:
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return streams


async def _upgraded(request: web.Request) -> web.WebSocketResponse:
    require_websocket(request)
    socket = web.WebSocketResponse(
        protocols=PROTOCOLS, max_msg_size=_MAX_MESSAGE, heartbeat=_PING_S, compress=False
    )
    await socket.prepare(request)
    # What tells a client that the streams are there.
    await socket.send_bytes(bytes([STDOUT]))
    return socket


def require_websocket(request: web.Request) -> None:
    """Raises ApiFailure that names the protocol; clients of SPDY alone have to say --v=…: they cannot."""
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade == "websocket":
        return
    if upgrade:
        asked = request.headers["Upgrade"]
        raise bad_request(
            f"unable to upgrade: {asked} is not spoken here, WebSocket is (kubectl 1.31 and newer)"
        )
    raise bad_request("Upgrade request required")


def exit_status(code: int) -> dict[str, Any]:
    """How a command ended, as clients parse it."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _not_started(error: TestbedError) -> dict[str, Any]:
    if isinstance(error, ApiFailure):  # its code is HTTP's
        return error.status()
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return {**exit_status(code), "message": f"exec failed: {error.message}"}
    return not_reached(error.message).status()


async def _tell(socket: web.WebSocketResponse, status: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(bytes([ERROR]) + json.dumps(status).encode())
        await socket.close()


class _Channels:
    """A process and a client, until one of them has gone."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        process: Process,
        streams: frozenset[str],
        *,
        from_start: bool = False,
        once: bool = False,
    ) -> None:
        self._socket = socket
        self._process = process
        self._streams = streams
        self._stdin = "stdin" in streams
        self._once = once
        self._from_start = from_start
        self._waiting: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._waiting_bytes = 0

    async def serve(self) -> int | None:
        """The process's exit code; None: the client has gone."""
        log = self._process.output
        for stream, data in log.so_far() if self._from_start else ():
            self._printed(stream, data)
        log.listeners.append(self._printed)
        hearing = asyncio.create_task(self._hear())
        sending = asyncio.create_task(self._send())
        ending = asyncio.create_task(self._process.ended())
        try:
            await asyncio.wait({hearing, ending, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                return None
            await self._waiting.join()
            return ending.result()
        finally:
            with contextlib.suppress(ValueError):
                log.listeners.remove(self._printed)
            log.resume()
            for task in (hearing, sending, ending):
                task.cancel()
            await asyncio.gather(hearing, sending, ending, return_exceptions=True)
            if self._stdin and self._once:
                self._process.close_stdin()

    def _printed(self, stream: str, data: bytes) -> None:
        if not data or stream not in self._streams:
            return
        self._waiting.put_nowait((STDERR if stream == "stderr" else STDOUT, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MANY_BYTES:
            self._process.output.pause()

    async def _send(self) -> None:
        while True:
            channel, data = await self._waiting.get()
            try:
                await self._socket.send_bytes(bytes([channel]) + data)
            finally:
                self._waiting.task_done()
            self._waiting_bytes -= len(data)
            if self._waiting_bytes <= _MANY_BYTES:
                self._process.output.resume()

    async def _hear(self) -> None:
        async for message in self._socket:
            data = message.data
            if message.type is WSMsgType.TEXT:
                data = data.encode()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and data:
                await self._heard(data[0], data[1:])

    async def _heard(self, channel: int, data: bytes) -> None:
        if channel == STDIN and self._stdin:
            with contextlib.suppress(OSError):  # it has closed its input
                await self._process.feed(data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            self._process.close_stdin()
        elif channel == RESIZE:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                size = json.loads(data)
                self._process.resize(int(size["Width"]), int(size["Height"]))
