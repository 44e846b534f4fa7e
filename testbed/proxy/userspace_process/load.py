"""What endpoints say of their load: each is asked over HTTP, on a connection that is kept."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from testbed.clock import now_s
from testbed.proxy.userspace_process.loop import READ, WRITE, Loop
from testbed.proxy.userspace_process.serving import address_of, family_of

PATIENCE_S = 1.0
"""An endpoint that has not answered for so long is asked on a new connection, and its figure forgotten."""
_MAX_ANSWER = 64 * 1024


class LoadPolls:
    """Keeps `loads` (endpoint -> number) as fresh as the period and the endpoints' answers allow."""

    def __init__(self, loop: Loop, loads: dict[str, float], path: str, period_s: float) -> None:
        self.loop = loop
        self.loads = loads
        self.path = path
        self.period_s = period_s
        self._polls: dict[str, _Poll] = {}

    def set(self, endpoints: Iterable[str]) -> None:
        """Whom to ask from now on."""
        wanted = set(endpoints)
        for gone in self._polls.keys() - wanted:
            self._polls.pop(gone).stop()
            self.loads.pop(gone, None)
        for endpoint in sorted(wanted - self._polls.keys()):
            self._polls[endpoint] = _Poll(self, endpoint)


class _Poll:
    """One endpoint, asked again a period after each question."""

    def __init__(self, polls: LoadPolls, endpoint: str) -> None:
        self._polls = polls
        self._endpoint = endpoint
        request = f"GET {polls.path} HTTP/1.1\r\nHost: {endpoint}\r\n\r\n"
        self._request = request.encode()
        self._sock: socket.socket | None = None
        self._received = b""
        self._asked_s: float | None = None
        """When the question that waits for its answer went out."""
        self._timer = -1
        self._ask()

    def stop(self) -> None:
        """Ask no more."""
        self._polls.loop.cancel(self._timer)
        self._hang_up()

    def _ask(self) -> None:
        self._timer = self._polls.loop.at(now_s() + self._polls.period_s, self._ask)
        if self._asked_s is not None:
            if now_s() - self._asked_s < PATIENCE_S:
                return
            self._silent()
        self._received, self._asked_s = b"", now_s()
        if self._sock is None:
            self._dial()
        else:
            self._send()

    def _dial(self) -> None:
        sock = self._sock = socket.socket(family_of(self._endpoint), socket.SOCK_STREAM)
        sock.setblocking(False)
        if sock.connect_ex(address_of(self._endpoint)) not in {0, errno.EINPROGRESS}:
            sock.close()
            self._sock = None
            self._silent()
            return
        self._polls.loop.watch(sock.fileno(), self._writable, WRITE)

    def _writable(self, _: int) -> None:
        assert self._sock is not None
        self._polls.loop.forget(self._sock.fileno())
        self._polls.loop.watch(self._sock.fileno(), self._readable, READ)
        self._send()

    def _send(self) -> None:
        assert self._sock is not None
        try:
            self._sock.send(self._request)
        except OSError:
            self._silent()

    def _readable(self, _: int) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(_MAX_ANSWER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        load = _number(self._received)
        if not data or load == "wrong" or len(self._received) > _MAX_ANSWER:
            self._silent()
        elif isinstance(load, float):
            self._polls.loads[self._endpoint] = load
            self._received, self._asked_s = b"", None

    def _silent(self) -> None:
        self._polls.loads.pop(self._endpoint, None)
        self._hang_up()

    def _hang_up(self) -> None:
        self._asked_s = None
        if self._sock is not None:
            self._polls.loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None


def _number(answer: bytes) -> float | str:
    """The number in the body of an HTTP answer: "more" must come, or it is "wrong"."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return "more"
    status, *fields = head.decode("latin-1").split("\r\n")
    lengths = [
        value.strip()
        for name, _, value in (field.partition(":") for field in fields)
        if name.lower() == "content-length"
    ]
    if status.split(" ")[1:2] != ["200"] or len(lengths) != 1 or not lengths[0].isdecimal():
        return "wrong"
    if len(body) < int(lengths[0]):
        return "more"
    try:
        return float(body)
    except ValueError:
        return "wrong"
