"""What a list costs beside the least it can: turning its objects into JSON once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from bench.api_lab import ApiLab, api_lab
from bench.measure import Comparison, Goal, Side, in_turns
from testbed.apiserver.presented import Face, presented
from testbed.apiserver.rendering import encode
from testbed.model.objects.pods import Pod

PODS = 10_000
_PATH = "/api/v1/pods"
_CHUNK = 1 << 20


def lists(repeats: int) -> Iterator[Comparison]:
    """The first list after every pod has changed, and the next one; beside the same pods serialised."""
    with api_lab(100, {"crowd": {"fake": True, "replicas": PODS}}, {}) as lab:
        pods = list(lab.lab.snapshot().list(Pod))
        face = Face(("10.96.0.0/12",), 0.0)

        def serialised() -> float:
            start = time.monotonic()
            encode({"items": [presented(pod, face) for pod in pods]})
            return time.monotonic() - start

        first_s = _listed(lab)
        ours, theirs = in_turns(lambda: _listed(lab), serialised, repeats)
    made_of = "TLS, a token, read to its end"
    for what, values in (("the first time", (first_s,)), ("again", ours)):
        yield Comparison(
            f"list of {PODS:,} pods, {what}",
            "s",
            Side("GET /api/v1/pods", made_of, values),
            Side("to_manifest and JSON", "1 process, once", theirs),
            Goal(1.5, at_most=True),
        )


def _listed(lab: ApiLab) -> float:
    """Seconds from the request to the last byte, on a connection that is there."""
    with (
        socket.create_connection(lab.address) as plain,
        lab.tls().wrap_socket(plain, server_hostname=lab.address[0]) as connection,
    ):
        start = time.monotonic()
        connection.sendall(lab.request(_PATH, "Connection: close\r\n"))
        total, last = 0, b""
        while data := connection.recv(_CHUNK):
            total += len(data)
            last = (last + data)[-64:]
        taken_s = time.monotonic() - start
    if not last.endswith(b"0\r\n\r\n") or total < PODS * 500:
        raise RuntimeError(f"the list ended early, after {total} bytes")
    return taken_s
