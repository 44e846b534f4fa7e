"""The control socket's language: a JSON object a line, file descriptors riding along.

A request is `{"id", "method", "params"}`; what comes back carries the same id and one of `progress`
(any number), `result` or `error` (`{"type", "message", "hint"}`).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed import errors
from testbed.errors import NotFound, OutOfTimeOrRoom, TestbedError

SOCKET = "control.sock"
_CHUNK = 1 << 18


def listen(folder: Path) -> socket.socket:
    """A listening socket at `folder`/control.sock, for the owner only."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{fd}/{SOCKET}")  # a socket's path may have 107 bytes only
    finally:
        os.close(fd)
    sock.listen(64)
    return sock


def connect(folder: Path) -> socket.socket:
    """A connection to a lab's control socket. Raises NotFound where nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sock.connect(f"/proc/self/fd/{fd}/{SOCKET}")
        finally:
            os.close(fd)
    except OSError:
        sock.close()
        raise NotFound(f"lab {folder.name!r} does not answer", "it is ending") from None
    return sock


def encode(message: dict[str, Any]) -> bytes:
    """The line of a message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def error_message(error: TestbedError) -> dict[str, str]:
    """An error as the value of a message's `error`."""
    return {"type": type(error).__name__, "message": error.message, "hint": error.hint}


def error_of(message: dict[str, str]) -> TestbedError:
    """The error that `error_message` wrote; unknown types become TestbedError."""
    kind = getattr(errors, message["type"], TestbedError)
    error = TestbedError(message["message"], message["hint"])
    if isinstance(kind, type) and issubclass(kind, TestbedError):
        error.__class__ = kind
    return error


class Connection:
    """A client's side of the control socket: one call at a time, in order."""

    def __init__(self, folder: Path) -> None:
        self._name = folder.name
        self._socket = connect(folder)
        self._received = bytearray()
        self._last_id = 0

    def close(self) -> None:
        self._socket.close()

    @contextmanager
    def within(self, timeout_s: float) -> Iterator[None]:
        """For calls that a busy lab may leave waiting. Raises OutOfTimeOrRoom."""
        self._socket.settimeout(timeout_s)
        try:
            yield
        except TimeoutError:
            raise OutOfTimeOrRoom(
                f"lab {self._name!r} did not answer within {timeout_s:g} s", "it is busy"
            ) from None
        finally:
            if self._socket.fileno() >= 0:
                self._socket.settimeout(None)

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        fds: Sequence[int] = (),
        on_progress: Callable[[Any], None] = lambda progress: None,
    ) -> Any:
        """The result of one call. Raises as `answer` does, NotFound where the lab has ended."""
        return self.answer(self.start(method, params, fds), on_progress)

    def answer(self, ident: int, on_progress: Callable[[Any], None] = lambda progress: None) -> Any:
        """The result of the call that `start` numbered so; answers to others are passed over.

        Raises the error that the lab answered, NotFound when the lab ends before.
        """
        for message in self.messages():
            if message["id"] != ident:
                continue
            if "progress" in message:
                on_progress(message["progress"])
                continue
            if "error" in message:
                raise error_of(message["error"])
            return message["result"]
        raise NotFound(f"lab {self._name!r} ended during the call")

    def begun(self, ident: int) -> None:
        """Return when the call that `start` numbered so first says how far it is. Raises as `answer` does."""
        for message in self.messages():
            if message["id"] == ident:
                if "error" in message:
                    raise error_of(message["error"])
                return
        raise NotFound(f"lab {self._name!r} ended during the call")

    def start(
        self, method: str, params: dict[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> int:
        """Send a request without waiting; returns its id."""
        self._last_id += 1
        request = {"id": self._last_id, "method": method, "params": params or {}}
        data = encode(request)
        try:
            if fds:
                sent = socket.send_fds(self._socket, [data], list(fds))
                data = data[sent:]
            self._socket.sendall(data)
        except OSError:  # its end is closed, or ours after `down`
            raise NotFound(f"lab {self._name!r} has ended") from None
        return self._last_id

    def messages(self) -> Iterable[dict[str, Any]]:
        """Messages as they come, until the lab's end closes."""
        searched = 0
        while True:
            while (end := self._received.find(b"\n", searched)) >= 0:
                line = self._received[:end]
                del self._received[: end + 1]
                searched = 0
                yield json.loads(line)
            searched = len(self._received)  # a line may be as long as a cluster is large
            try:
                data = self._socket.recv(_CHUNK)
            except ConnectionResetError:
                return
            if not data:
                return
            self._received += data
