"""What a command prints, as text: its output on pipes that are read while it runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from subprocess import CompletedProcess

Fds = tuple[int, int, int]
"""Input, output and errors."""


def captured(argv: Sequence[str], run: Callable[[Fds], int]) -> CompletedProcess[str]:
    """The code that `run` returns, and what was written to the descriptors that it got; it has no input."""
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    read: dict[int, bytes] = {}
    readers = [threading.Thread(target=_drain, args=(fd, read)) for fd in (out_read, err_read)]
    for reader in readers:
        reader.start()
    try:
        code = run((nothing, out_write, err_write))
    finally:
        for fd in (nothing, out_write, err_write):
            os.close(fd)
        for reader in readers:
            reader.join()
    return CompletedProcess(list(argv), code, read[out_read].decode(), read[err_read].decode())


def _drain(fd: int, into: dict[int, bytes]) -> None:
    with os.fdopen(fd, "rb") as pipe:
        into[fd] = pipe.read()
