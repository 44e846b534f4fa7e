"""What a DNS server's process hears: its supervisor's line, and signals."""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from testbed.dns.loop import SelectorLoop

_YOUNG = 300
"""Objects that come between two looks for garbage: it takes a tenth of a millisecond, at 7,000 two or three."""


class Supervisor:
    """The line to whoever started the process, and SIGTERM: what it tells, and what ends the process."""

    def __init__(
        self,
        loop: SelectorLoop,
        channel: socket.socket,
        hear: Callable[[dict[str, Any]], None],
        terminate: Callable[[], None] | None = None,
    ) -> None:
        """`hear` is told every message; what comes first is most of what the process will ever hold. Where it
        fails, the process ends: a server that is started again knows all, one that goes on knows a part.
        `terminate`: what SIGTERM does, instead of ending the process.
        """
        self.ended = False
        self._hear = hear
        self._terminate = terminate or self._end
        self._channel = channel
        self._pieces: list[bytes] = []
        self._wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGTERM, lambda *_: None)
        for fd in (channel.fileno(), self._wakeup):
            loop.watch(fd, self._read, selectors.EVENT_READ)

    def _end(self) -> None:
        self.ended = True

    def _read(self, _events: int) -> None:
        with suppress(BlockingIOError):
            if os.read(self._wakeup, 64):
                self._terminate()
        try:
            data = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self.ended = self.ended or not data
        self._pieces.append(data)
        if b"\n" not in data:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
        for line in lines:
            self._told(json.loads(line))

    def _told(self, message: dict[str, Any]) -> None:
        try:
            self._hear(message)
        except Exception:
            with suppress(OSError):  # nobody reads fast enough
                traceback.print_exc(file=sys.stderr)
            raise SystemExit(1) from None
        if "objects" in message:
            _look_for_garbage_rarely()


def _look_for_garbage_rarely() -> None:
    """A walk through all that the process holds takes as long as thousands of answers, and finds nothing: only
    what is young is looked through, often, so that nobody waits long for it.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 1, 1_000_000)
