"""The line between a lab process and the supervisor: one JSON object a line, both ways.

SIGTERM and SIGINT arrive here too, as a line of their own: an event loop then has one thing to
watch.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from array import array
from contextlib import suppress
from typing import Any

_ANCILLARY_SIZE = socket.CMSG_SPACE(253 * 4)  # SCM_MAX_FD of the kernel
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
TERMINATED: dict[str, Any] = {"stop": True}
"""What `receive` returns for SIGTERM, SIGINT, and where the supervisor has closed its end."""


class Channel:
    """`fds` are the descriptors to watch for reading; then call `receive`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._closed = False
        self.received_fds: list[int] = []
        """Open file descriptors that came with lines, in order."""
        self._wakeup, self._signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._signalled)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: None)

    @property
    def fds(self) -> tuple[int, ...]:
        return (self._wakeup,) if self._closed else (self._wakeup, self._sock.fileno())

    def say(self, message: dict[str, Any]) -> None:
        """Send one line; when nobody listens any more, nobody is told."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]]:
        """Every whole line that has come. Never waits."""
        messages = [TERMINATED] if self._was_signalled() else []
        while not self._closed:
            try:
                # Not socket.recv_fds: it drops the flags.
                data, ancillary, _, _ = self._sock.recvmsg(65536, _ANCILLARY_SIZE, _FLAGS)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data, ancillary = b"", []
            for _, _, packed in ancillary:
                self.received_fds += array("i", packed[: len(packed) // 4 * 4])
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            messages += [json.loads(line) for line in lines]
            if not data:
                self._closed = True
                messages.append(TERMINATED)
        return messages

    def _was_signalled(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._wakeup, 64))
        return False
