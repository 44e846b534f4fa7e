"""Probing a container as kubelet does: HTTP GET and TCP connect, from the node's own namespace."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from testbed.controllers.pod_record import ContainerRecord, Life, PodRecord, Probed, Stage
from testbed.controllers.probe_tally import ProbeTally, next_due_s
from testbed.events import Event, Record
from testbed.model.objects import Container, HTTPGetAction, Probe, TCPSocketAction, name_of

MakeSocket = Callable[[socket.AddressFamily, socket.SocketKind], socket.socket]
_MAX_RESPONSE_BYTES = 10 * 1024
"""What kubelet reads of a body (pkg/probe/http, maxRespBodyLength)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One probe; `message` says what went wrong ("" when it succeeded)."""

    ok: bool
    message: str = ""


AskOnce = Callable[[str, Container, Probe], Awaitable[Outcome]]
"""Probes the container at an address once."""


class Prober:
    """The probes of one node's pods: a task for each probe of each run of a container.

    `verdict(uid, probed)` is called when a threshold is reached; every failure, and the first
    success after one, is an event.
    """

    def __init__(
        self,
        node: str,
        make_socket: MakeSocket,
        record: Record,
        now_ns: Callable[[], int],
        verdict: Callable[[str, Probed], None],
        *,
        ask_once: AskOnce | None = None,
    ) -> None:
        self._node = node
        self._make_socket = make_socket
        self._record = record
        self._now_ns = now_ns
        self._verdict = verdict
        self._ask = ask_once or self._ask_really
        self._workers: dict[str, dict[_Key, asyncio.Task[None]]] = {}

    def follow(self, pod: PodRecord) -> None:
        """Probe what runs, stop probing what does not."""
        want = _probes(pod)
        workers = self._workers.setdefault(pod.pod.meta.uid, {})
        for key in [key for key in workers if key not in want]:
            workers.pop(key).cancel()
        for key, (container, probe) in want.items():
            if key not in workers:
                worker = asyncio.create_task(self._work(pod, key, container, probe))
                worker.add_done_callback(_show_bugs)
                workers[key] = worker

    def forget(self, uid: str) -> None:
        """Stop probing a pod."""
        for worker in self._workers.pop(uid, {}).values():
            worker.cancel()

    def stop(self) -> None:
        """Stop probing."""
        for uid in tuple(self._workers):
            self.forget(uid)

    async def _work(
        self, pod: PodRecord, key: _Key, container: ContainerRecord, probe: Probe
    ) -> None:
        name, kind, _ = key
        tally = ProbeTally(verdict=kind == "liveness")

        def report(outcome: Outcome) -> None:
            nonlocal tally
            before, tally = tally, tally.after(outcome.ok, probe)
            if not outcome.ok or before.last is not True:
                detail = {
                    "uid": pod.pod.meta.uid,
                    "container": name,
                    "probe": kind,
                    "restart_count": container.restart_count,
                    "run": tally.run,
                    "reason": outcome.message,
                }
                what = "probe-succeeded" if outcome.ok else "probe-failed"
                where = name_of(pod.pod)
                self._record(Event(self._now_ns(), "kubelet", self._node, what, where, 0, detail))
            if tally.verdict != before.verdict:
                self._verdict(pod.pod.meta.uid, Probed(name, kind, tally.verdict))

        await keep_asking(
            probe,
            lambda: self._ask(pod.pod_ips[0], container.spec, probe),
            report,
            lambda: self._now_ns() / 1e9,
        )

    async def _ask_really(self, address: str, container: Container, probe: Probe) -> Outcome:
        return await ask(self._make_socket, address, container, probe)


_Key = tuple[str, str, float | None]
"""(container, readiness or liveness, when this run of the container started)."""


def _show_bugs(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled():
        worker.result()  # probing never ends by itself: let the event loop show the exception


def _probes(pod: PodRecord) -> dict[_Key, tuple[ContainerRecord, Probe]]:
    """The probes that should run: liveness ends when the pod or the container is being stopped."""
    want: dict[_Key, tuple[ContainerRecord, Probe]] = {}
    for container in pod.containers:
        spec, started_s = container.spec, container.started_s
        if container.runs and spec.readiness_probe is not None:
            want[spec.name, "readiness", started_s] = (container, spec.readiness_probe)
        lives = container.life is Life.RUNNING and pod.stage is Stage.UP
        if lives and spec.liveness_probe is not None:
            want[spec.name, "liveness", started_s] = (container, spec.liveness_probe)
    return want


async def ask(make_socket: MakeSocket, address: str, container: Container, probe: Probe) -> Outcome:
    """Probe once. The timeout covers connecting and the response; 200..399 is success.

    A redirect counts as success; kubelet would follow one that stays on the same host.
    """
    action = probe.action
    port = _port(container, action.port)
    if port is None:
        return Outcome(False, f"couldn't find port: {action.port}")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    sock = make_socket(family, socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(probe.timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
            if isinstance(action, TCPSocketAction):
                return Outcome(True)
            return await _http_get(sock, where, action)
    except TimeoutError:
        return Outcome(False, f"no answer from {where} within {probe.timeout_s:g} s")
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        return Outcome(False, f"{where}: {what.lower()}")
    finally:
        sock.close()


async def keep_asking(
    probe: Probe,
    once: Callable[[], Awaitable[Outcome]],
    report: Callable[[Outcome], None],
    now_s: Callable[[], float],
) -> None:
    """Probe for ever: first after the initial delay, then every period.

    Without an initial delay the first probe is as soon as the container runs, which in kubelet is
    what the manual trigger of a container that is not ready yet does.
    """
    await asyncio.sleep(probe.initial_delay_s)
    due_s = now_s()
    while True:
        report(await once())
        due_s = next_due_s(due_s, probe.period_s, now_s())
        await asyncio.sleep(max(0.0, due_s - now_s()))


async def _http_get(sock: socket.socket, host: str, action: HTTPGetAction) -> Outcome:
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.36\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request.encode())
    response = b""
    # To the end of the response: closing with unread bytes would reset the server's connection.
    while len(response) < _MAX_RESPONSE_BYTES:
        piece = await loop.sock_recv(sock, _MAX_RESPONSE_BYTES)
        if not piece:
            break
        response += piece
    words = response.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Outcome(False, f"{host} did not answer with HTTP")
    status = int(words[1])
    if 200 <= status < 400:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


def _port(container: Container, port: int | str) -> int | None:
    if isinstance(port, int):
        return port
    return next((found.container_port for found in container.ports if found.name == port), None)
