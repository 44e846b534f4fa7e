"""How soon a change reaches those who watch: a thousand of one kind, and one of EndpointSlices among many.

The client's clock is the lab's: both ends are on one kernel.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.api_lab import ApiLab, api_lab, version
from bench.measure import Comparison, Goal, Side
from testbed.lab.api_client import ApiClient

WATCHERS = 1_000
SERVICES = 5_000
_CHANGES = 40
_ENDPOINT_CHANGES = 200
_PAUSE_S = 0.1
_PATIENCE_S = 30.0
_ALL_LIMIT_MS, _ONE_LIMIT_MS = 250.0, 5.0
_POD = "/api/v1/namespaces/default/pods/crowd-0-0"
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"


def spread(repeats: int) -> Iterator[Comparison]:
    """From the request that changes a pod until each of a thousand watchers of pods has the event."""
    del repeats  # the changes are the repeats
    with api_lab(1, {"crowd": {"fake": 1, "replicas": 10}}, {}) as lab:
        audience = Audience(lab, "/api/v1/pods", WATCHERS)
        client = ApiClient(lab.access)
        taken_ms: list[float] = []
        for number in range(_CHANGES):
            mark = f"change-{number}"
            start_ns = _patched(client, _POD, {"metadata": {"annotations": {"bench": mark}}})
            taken_ms += [(at - start_ns) / 1e6 for at in audience.heard(f'"bench":"{mark}"')]
            time.sleep(_PAUSE_S)
        audience.close()
    yield _row(f"a change reaches {WATCHERS:,} watchers, p99", taken_ms, _ALL_LIMIT_MS)


def endpoints(repeats: int) -> Iterator[Comparison]:
    """From a pod that is no more ready, or ready again, until a watcher of EndpointSlices has the event."""
    del repeats
    workload = {"fake": SERVICES, "replicas": 2}
    with api_lab(100, {"crowd": workload}, {"crowd": {"port": 80}}) as lab:
        audience = Audience(lab, _SLICES, 1)
        client = ApiClient(lab.access)
        taken_ms: list[float] = []
        ready = True
        for _ in range(_ENDPOINT_CHANGES):
            ready = not ready
            _patched(client, f"{_POD}/status", _condition(ready))
            (at_ns,) = audience.heard('"name":"crowd-0-')
            taken_ms.append((at_ns - _written_ns(lab, ready)) / 1e6)
            time.sleep(_PAUSE_S)
        audience.close()
    what = f"endpoint change to watch event, {SERVICES:,} services, p99"
    yield _row(what, taken_ms, _ONE_LIMIT_MS)


def _row(what: str, taken_ms: list[float], limit_ms: float) -> Comparison:
    p99 = statistics.quantiles(taken_ms, n=100, method="inclusive")[98]
    return Comparison(
        what,
        "ms",
        Side("testbed", "TLS and a token, 1 process of clients", (p99,)),
        None,
        Goal(limit_ms, at_most=True),
        note=f"{len(taken_ms):,} events, median {statistics.median(taken_ms):.3g} ms, "
        f"longest {max(taken_ms):.3g} ms.",
    )


def _patched(client: ApiClient, path: str, body: dict[str, Any]) -> int:
    """When the request was sent (ns). Raises RuntimeError."""
    start_ns = time.monotonic_ns()
    answer = client.patch(path, "application/strategic-merge-patch+json", body)
    if answer.code != 200:
        raise RuntimeError(f"PATCH {path}: {answer.code} {json.dumps(answer.body)[:300]}")
    return start_ns


def _condition(ready: bool) -> dict[str, Any]:
    status = "True" if ready else "False"
    return {"status": {"conditions": [{"type": "Ready", "status": status}]}}


def _written_ns(lab: ApiLab, ready: bool) -> int:
    """When the store took the latest change of the pod's readiness."""
    kind = "pod-ready" if ready else "pod-not-ready"
    since_ns = time.monotonic_ns() - int(_PATIENCE_S * 1e9)
    found = [event for event in lab.lab.events(since_ns) if event.kind == kind]
    return max(event.t_ns for event in found)


@dataclass(slots=True)
class _Watcher:
    connection: ssl.SSLSocket
    said: bytes = b""


class Audience:
    """Watchers of one path from now on, in one loop that does nothing but receive."""

    def __init__(self, lab: ApiLab, path: str, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._watchers: list[_Watcher] = []
        client = ApiClient(lab.access)
        tls, at = lab.tls(), version(client, path)
        client.close()
        for _ in range(size):
            plain = socket.create_connection(lab.address)
            connection = tls.wrap_socket(plain, server_hostname=lab.address[0])
            connection.sendall(lab.request(f"{path}?watch=true&resourceVersion={at}"))
            watcher = _Watcher(connection)
            while b"\r\n\r\n" not in watcher.said:
                watcher.said += connection.recv(1 << 16)
            if not watcher.said.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(watcher.said.decode(errors="replace")[:300])
            watcher.said = b""
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, watcher)
            self._watchers.append(watcher)

    def heard(self, mark: str) -> list[int]:
        """When each of them had read a text (ns). Raises TimeoutError."""
        sought, waiting = mark.encode(), set(map(id, self._watchers))
        found: list[int] = []
        deadline = time.monotonic() + _PATIENCE_S
        while waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} watchers have not heard of {mark}")
            for key, _ in self._selector.select(1.0):
                watcher: _Watcher = key.data
                watcher.said += _read(watcher.connection)
                if id(watcher) in waiting and sought in watcher.said:
                    found.append(time.monotonic_ns())
                    waiting.discard(id(watcher))
                    watcher.said = b""
        return found

    def close(self) -> None:
        self._selector.close()
        for watcher in self._watchers:
            watcher.connection.close()


def _read(connection: ssl.SSLSocket) -> bytes:
    data = b""
    try:
        while some := connection.recv(1 << 16):
            data += some
    except ssl.SSLWantReadError:
        return data
    raise RuntimeError("a watch has ended")
