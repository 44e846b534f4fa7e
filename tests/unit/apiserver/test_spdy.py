"""SPDY's frames, there and back, and kubectl's port-forward in them."""

from __future__ import annotations

import asyncio
import socket
import zlib
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from testbed.apiserver.port_forward import pod_port_forward
from testbed.apiserver.spdy import DICTIONARY, Data, Opened, Ping, Reader, Reset, SpdyError, Writer
from testbed.apiserver.spdy_forward import PROTOCOL
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from tests.unit.ports import free_port


def test_the_dictionary_is_the_protocols_own() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_come_as_they_were_sent() -> None:
    writer = Writer()
    first = {"streamtype": "error", "port": "80", "requestid": "0"}
    second = first | {"streamtype": "data"}
    sent = (
        writer.opened(1, first)
        + writer.opened(3, second)
        + writer.data(3, b"x" * 70_000, over=True)
        + writer.data(1, b"", over=True)
        + writer.pong(Ping(7))
        + writer.accepted(5)
        + b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00\x05"
    )
    reader = Reader()
    frames = [frame for at in range(0, len(sent), 11) for frame in reader.feed(sent[at : at + 11])]
    assert frames[:2] == [Opened(1, first), Opened(3, second)]
    pieces = [frame for frame in frames if isinstance(frame, Data) and frame.stream == 3]
    assert b"".join(piece.data for piece in pieces) == b"x" * 70_000
    assert [piece.over for piece in pieces] == [False, False, True]
    assert frames[-3:] == [Data(1, b"", True), Ping(7), Reset(3)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02\x00\x01\x00\x00\x00\x00",
        b"\x80\x03\x00\x01\x00\x00\x00\x0e" + bytes(10) + b"zzzz",
    ],
)
def test_what_is_no_spdy(data: bytes) -> None:
    with pytest.raises(SpdyError):
        Reader().feed(data)


class Loopback:
    """Pods whose ports are those of this machine (a `Pods`, as far as forwarding asks)."""

    async def connect(self, pod: Pod, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return sock


async def _upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()


async def _forwarded(port: int, *pieces: bytes) -> tuple[bytes, bytes]:
    """What comes back on the streams of data and of errors, as kubectl uses them."""
    pod = Pod(ObjectMeta("p", "default"), PodSpec(()), PodStatus("Running"))
    pods: Any = Loopback()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await pod_port_forward(request, pod, pods)

    application = web.Application()
    application.router.add_get("/", answer)
    came = {1: b"", 3: b""}
    reader, writer = Reader(), Writer()
    headers = {"port": str(port), "requestid": "0"}
    async with TestClient(TestServer(application)) as client:
        tunnel = await client.ws_connect("/", protocols=(PROTOCOL,))
        await tunnel.send_bytes(writer.opened(1, headers | {"streamtype": "error"}))
        await tunnel.send_bytes(writer.data(1, b"", over=True))
        await tunnel.send_bytes(writer.opened(3, headers | {"streamtype": "data"}))
        for piece in pieces:
            await tunnel.send_bytes(writer.data(3, piece))
        await tunnel.send_bytes(writer.data(3, b"", over=True))
        over: set[int] = set()
        while over != {1, 3}:
            for frame in reader.feed(await tunnel.receive_bytes()):
                if isinstance(frame, Data):
                    came[frame.stream] += frame.data
                    over |= {frame.stream} if frame.over else set()
        await tunnel.close()
    return came[3], came[1]


def test_a_connection_is_forwarded() -> None:
    async def scenario() -> tuple[bytes, bytes]:
        server = await asyncio.start_server(_upper, "127.0.0.1", 0)
        async with server:
            return await _forwarded(server.sockets[0].getsockname()[1], b"a" * 40_000, b"bc")

    assert asyncio.run(scenario()) == (b"A" * 40_000 + b"BC", b"")


def test_a_port_where_nobody_listens_is_told() -> None:
    port = free_port()
    data, error = asyncio.run(_forwarded(port))
    assert data == b""
    assert error.decode() == f"error forwarding port {port} to pod default/p: connection refused"
