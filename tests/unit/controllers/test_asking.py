"""Who asks may itself be kept from the CPU."""

from __future__ import annotations

import asyncio
import socket

from testbed.controllers.asking import Outcome, ask
from testbed.model.containers import Container, HTTPGetAction, Probe

LOOPBACK = "127.0.0.1"
STALL_S = 1000.0


def new_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(family, kind)
    made.setblocking(False)
    return made


def test_a_time_out_while_nobody_listened_decides_nothing() -> None:
    """The asking process stands still from the first request until long after its time is up."""

    async def scenario() -> tuple[Outcome, int]:
        loop, requests = asyncio.get_running_loop(), 0
        real = loop.time

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal requests
            requests += 1
            await reader.readuntil(b"\r\n\r\n")
            if requests == 1:
                loop.time = lambda: real() + STALL_S  # type: ignore[method-assign]
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, LOOPBACK, 0)
        action = HTTPGetAction("/", server.sockets[0].getsockname()[1])
        asked = Probe(action, timeout_s=STALL_S / 2)
        outcome = await ask(new_socket, LOOPBACK, Container("echo", "echo"), asked)
        server.close()
        return outcome, requests

    assert asyncio.run(scenario()) == (Outcome(True), 2)
