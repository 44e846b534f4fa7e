"""What a process prints, line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

_AS_MUCH = 1 << 16


class Lines:
    """Puts lines together from what comes."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More of it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._heard(line.decode(errors="replace"))


class PipeLines:
    """Reads a pipe, which it closes, until its writers have gone."""

    def __init__(self, fd: int, heard: Callable[[str], None]) -> None:
        self._fd = fd
        self._lines = Lines(heard)
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def _readable(self) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, _AS_MUCH)
            if not data:
                asyncio.get_running_loop().remove_reader(self._fd)
                os.close(self._fd)
        self._lines.feed(data)
