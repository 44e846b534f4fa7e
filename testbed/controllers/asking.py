"""Asking a container once, as kubelet does for a probe or a hook: from the node's own namespace, or inside."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from testbed.controllers.grpc_health import is_serving
from testbed.controllers.pod_record import PodRecord
from testbed.errors import TestbedError
from testbed.ip import host_port
from testbed.model.containers import (
    Container,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Probe,
    TCPSocketAction,
)
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import PodRuntime

MakeSocket = Callable[[socket.AddressFamily, socket.SocketKind], socket.socket]
_MAX_RESPONSE_BYTES = 10 * 1024
"""What kubelet reads of a body (pkg/probe/http, maxRespBodyLength)."""
_LATE_S = 0.1
"""A time-out that is heard of so much later tells of this process, and of nobody else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One probe; `message` says what went wrong ("" when it succeeded)."""

    ok: bool
    message: str = ""


AskOnce = Callable[[PodRecord, Container, Probe], Awaitable[Outcome]]
"""Probes a pod's container once."""


class Asker:
    """Asks the containers of one node."""

    def __init__(self, runtime: PodRuntime) -> None:
        self._runtime = runtime

    async def ask(self, pod: PodRecord, container: Container, probe: Probe) -> Outcome:
        """Probe once."""
        action = probe.action
        if isinstance(action, ExecAction):
            return await self._execute(pod.pod, container, action.command, probe.timeout_s)
        return await ask(self._runtime.node_socket, pod.pod_ips[0], container, probe)

    async def _execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], timeout_s: float
    ) -> Outcome:
        try:
            done = await self._runtime.execute(pod, container, argv, timeout_s)
        except TestbedError as error:
            return Outcome(False, str(error))
        if done.code == 0:
            return Outcome(True)
        return Outcome(False, done.output.strip() or f"{argv[0]} ended with code {done.code}")


async def ask(make_socket: MakeSocket, address: str, container: Container, probe: Probe) -> Outcome:
    """Probe once over the network. The timeout covers connecting and the response; 200..399 is success.

    A redirect counts as success; kubelet would follow one that stays on the same host. Where this process was
    kept from the CPU when the time was up, the answer may have been there: it asks again.
    """
    while (outcome := await _tried(make_socket, address, container, probe)) is None:
        pass
    return outcome


async def _tried(
    make_socket: MakeSocket, address: str, container: Container, probe: Probe
) -> Outcome | None:
    """None: nothing was heard, but this process was late to listen."""
    action = probe.action
    assert not isinstance(action, ExecAction)
    port = _port(container, action.port)
    if port is None:
        return Outcome(False, f"couldn't find port: {action.port}")
    if not isinstance(action, GRPCAction) and action.host:
        address = action.host
    where = host_port(address, port)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + probe.timeout_s
    sock = make_socket(family, socket.SOCK_STREAM)
    try:
        async with asyncio.timeout_at(ends_s):
            await loop.sock_connect(sock, (address, port))
            if isinstance(action, TCPSocketAction):
                return Outcome(True)
            if isinstance(action, GRPCAction):
                wrong = await is_serving(sock, where, action.service)
                return Outcome(not wrong, wrong)
            return await _http_get(sock, where, action)
    except TimeoutError:
        late = loop.time() > ends_s + _LATE_S
        silence = f"no answer from {where} within {probe.timeout_s:g} s"
        return None if late else Outcome(False, silence)
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        return Outcome(False, f"{where}: {what.lower()}")
    finally:
        sock.close()


async def _http_get(sock: socket.socket, host: str, action: HTTPGetAction) -> Outcome:
    request = _request(host, action).encode()
    if action.scheme == "HTTPS":
        response = await _exchange_with_tls(sock, request)
    else:
        response = await _exchange(sock, request)
    words = response.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Outcome(False, f"{host} did not answer with HTTP")
    status = int(words[1])
    if 200 <= status < 400:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


def _request(host: str, action: HTTPGetAction) -> str:
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    fields = {"host": ("Host", host), "user-agent": ("User-Agent", "kube-probe/1.36")}
    fields["accept"] = ("Accept", "*/*")
    fields |= {one.name.lower(): (one.name, one.value) for one in action.http_headers}
    fields["connection"] = ("Connection", "close")
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.values())]
    return "\r\n".join(lines) + "\r\n\r\n"


async def _exchange(sock: socket.socket, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request)
    response = b""
    # To the end of the response: closing with unread bytes would reset the server's connection.
    while len(response) < _MAX_RESPONSE_BYTES:
        piece = await loop.sock_recv(sock, _MAX_RESPONSE_BYTES)
        if not piece:
            break
        response += piece
    return response


async def _exchange_with_tls(sock: socket.socket, request: bytes) -> bytes:
    """As kubelet does, without asking who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="")
    try:
        writer.write(request)
        return await reader.read(_MAX_RESPONSE_BYTES)
    finally:
        writer.close()


def _port(container: Container, port: int | str) -> int | None:
    if isinstance(port, int):
        return port
    return next((found.container_port for found in container.ports if found.name == port), None)
