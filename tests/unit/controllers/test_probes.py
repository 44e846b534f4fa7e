"""Probes over real sockets, to servers that answer in every way there is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from testbed.controllers.asking import Outcome, ask
from testbed.controllers.probes import keep_asking
from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Probe, TCPSocketAction
from tests.unit.ports import free_port

from .simulated import now_s, simulate

LOOPBACK = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def new_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(family, kind)
    made.setblocking(False)
    return made


def answering(response: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def probed(serve: Serve | None, probe: Probe | Callable[[int], Probe]) -> Outcome:
    """The outcome of one probe of a server (None: of a port where nobody listens); the port is `http`."""

    async def run() -> Outcome:
        port = free_port()
        server = await asyncio.start_server(serve, LOOPBACK, port) if serve else None
        container = Container("echo", "echo", (ContainerPort(port, "http"),))
        asked = probe if isinstance(probe, Probe) else probe(port)
        outcome = await ask(new_socket, LOOPBACK, container, asked)
        if server:
            server.close()
        return outcome

    return asyncio.run(run())


HTTP = Probe(HTTPGetAction("/healthz", "http"), timeout_s=60.0)
TCP = Probe(TCPSocketAction("http"), timeout_s=60.0)
HASTY = 0.05
BODY = b"\r\nContent-Length: 2\r\n\r\nok"

OUTCOMES: list[tuple[str, Serve | None, Probe, bool, str]] = [
    ("200", answering(b"HTTP/1.1 200 OK" + BODY), HTTP, True, ""),
    ("399 is the last success", answering(b"HTTP/1.1 399 Odd" + BODY), HTTP, True, ""),
    ("a redirect", answering(b"HTTP/1.1 302 Found" + BODY), HTTP, True, ""),
    ("400 is the first failure", answering(b"HTTP/1.1 400 Bad" + BODY), HTTP, False, "400"),
    ("503", answering(b"HTTP/1.1 503 Busy" + BODY), HTTP, False, "statuscode: 503"),
    ("199", answering(b"HTTP/1.1 199 Odd" + BODY), HTTP, False, "statuscode: 199"),
    ("no reason phrase", answering(b"HTTP/1.0 204\r\n\r\n"), HTTP, True, ""),
    ("not HTTP", answering(b"SSH-2.0-OpenSSH_9.2\r\n"), HTTP, False, "did not answer with HTTP"),
    ("nothing at all", answering(b""), HTTP, False, "did not answer with HTTP"),
    ("nobody listens", None, HTTP, False, "connection refused"),
    ("HTTP: no answer in time", silent, replace(HTTP, timeout_s=HASTY), False, "within 0.05 s"),
    ("TCP: connecting is enough", silent, TCP, True, ""),
    ("TCP: nobody listens", None, TCP, False, "connection refused"),
    (
        "a port that no container has",
        silent,
        Probe(TCPSocketAction("https")),
        False,
        "couldn't find port: https",
    ),
]


@pytest.mark.parametrize(
    ("serve", "probe", "ok", "message"),
    [row[1:] for row in OUTCOMES],
    ids=[row[0] for row in OUTCOMES],
)
def test_outcomes(serve: Serve | None, probe: Probe, ok: bool, message: str) -> None:
    outcome = probed(serve, probe)
    assert outcome.ok is ok, outcome
    assert message in outcome.message
    assert ok == (outcome.message == "")


def test_a_long_body_is_read_to_its_limit_only() -> None:
    response = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000
    assert probed(answering(response), HTTP).ok


def test_what_the_server_sees() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK" + BODY)
        writer.close()

    assert probed(serve, replace(HTTP, action=HTTPGetAction("ready?full=1", "http"))).ok
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "GET /ready?full=1 HTTP/1.1"
    assert lines[1].startswith(f"Host: {LOOPBACK}:")
    assert "User-Agent: kube-probe/1.36" in lines
    assert "Connection: close" in lines


@pytest.mark.parametrize(
    ("name", "initial_delay_s", "takes_s", "expected"),
    [
        ("at once, then every period", 0.0, [0.5] * 5, [0, 10, 20, 30]),
        ("not before the initial delay", 7.0, [0.5] * 5, [7, 17, 27, 37]),
        ("after a slow one at once, then in the old phase", 0.0, [12, 1, 1, 1], [0, 12, 20, 30]),
    ],
)
def test_when_probes_are_sent(
    name: str, initial_delay_s: float, takes_s: list[float], expected: list[float]
) -> None:
    async def scenario() -> list[float]:
        sent: list[float] = []

        async def once() -> Outcome:
            sent.append(now_s() - 1000)
            await asyncio.sleep(takes_s[len(sent) - 1])
            return Outcome(True)

        probe = Probe(TCPSocketAction(1), initial_delay_s=initial_delay_s)
        work = asyncio.create_task(keep_asking(probe, once, lambda outcome: None, now_s))
        await asyncio.sleep(39)
        work.cancel()
        return sent

    assert simulate(scenario) == pytest.approx(expected)
