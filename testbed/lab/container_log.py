"""What a container printed: the last of it, with its times, and whoever follows it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

MAX_BYTES = 1 << 20
"""Of each run of a container; older lines go."""
_CHUNK = 1 << 16
_MAX_LINE = 16_384
"""A longer line is kept in pieces, as containerd does."""
Listener = Callable[[str, bytes], None]
"""Hears (stdout or stderr, bytes) as they come; no bytes: that stream is over."""


@dataclass(frozen=True, slots=True)
class Line:
    """`text` ends with a newline, but for a piece of a longer line."""

    unix_ns: int
    stream: str
    text: bytes


class ContainerLog:
    """Reads a container's output as it comes; never makes it wait."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque()
        self.dropped = 0
        """Lines that are no longer kept."""
        self.changed = asyncio.Event()
        """Set, and replaced, whenever there is more, or when it is over."""
        self.listeners: list[Listener] = []
        self._bytes = 0
        self._unfinished: dict[str, bytes] = {}
        self._open: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def over(self) -> bool:
        """Nobody can write to it any more."""
        return not self._open

    def read_from(self, fd: int, stream: str) -> None:
        """Take over a descriptor: what can be read from it is the container's output."""
        os.set_blocking(fd, False)
        self._open[fd] = stream
        self._unfinished[stream] = b""
        self._loop.add_reader(fd, self._readable, fd)

    def so_far(self) -> list[tuple[str, bytes]]:
        """(stream, bytes) of all that is kept, a last line without its end included."""
        kept = [(line.stream, line.text) for line in self.lines]
        return [*kept, *((stream, rest) for stream, rest in self._unfinished.items() if rest)]

    def pause(self) -> None:
        """Read no more until `resume`: who prints much has to wait."""
        for fd in self._open:
            self._loop.remove_reader(fd)

    def resume(self) -> None:
        """Go on."""
        for fd in self._open:
            self._loop.add_reader(fd, self._readable, fd)

    def drain(self) -> None:
        """Take what is there."""
        for fd in tuple(self._open):
            while fd in self._open and self._readable(fd):
                pass

    def close(self) -> None:
        """Read no more."""
        for fd in tuple(self._open):
            self._end(fd)

    def _readable(self, fd: int) -> bool:
        stream = self._open[fd]
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # the other side of a terminal has gone
            data = b""
        if data:
            self._take(stream, data)
        else:
            self._end(fd)
        for listener in tuple(self.listeners):
            listener(stream, data)
        self._wake()
        return bool(data)

    def _end(self, fd: int) -> None:
        stream = self._open.pop(fd)
        self._loop.remove_reader(fd)
        with contextlib.suppress(OSError):
            os.close(fd)
        if rest := self._unfinished.pop(stream, b""):
            self._keep(Line(time_ns(), stream, rest))

    def _take(self, stream: str, data: bytes) -> None:
        now_ns = time_ns()
        *lines, rest = (self._unfinished[stream] + data).split(b"\n")
        for line in lines:
            self._keep(Line(now_ns, stream, line + b"\n"))
        while len(rest) >= _MAX_LINE:
            self._keep(Line(now_ns, stream, rest[:_MAX_LINE]))
            rest = rest[_MAX_LINE:]
        self._unfinished[stream] = rest

    def _keep(self, line: Line) -> None:
        self.lines.append(line)
        self._bytes += len(line.text)
        while self._bytes > MAX_BYTES and len(self.lines) > 1:
            self._bytes -= len(self.lines.popleft().text)
            self.dropped += 1

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def tail(self, max_lines: int, max_bytes: int) -> str:
        """The end of it, as a termination message."""
        text = b"".join(line.text for line in list(self.lines)[-max_lines:])
        return text[-max_bytes:].decode(errors="replace")
