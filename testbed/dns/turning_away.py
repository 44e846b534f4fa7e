"""What a server does with connections when its process has no descriptor left for them."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class Reserve:
    """A descriptor that is kept for this: a connection that nobody accepts wakes the server up for ever."""

    def __init__(self) -> None:
        self._fd = _spare()

    def turn_away(self, listener: socket.socket) -> None:
        """Accept the next connection and close it at once."""
        if self._fd is not None:
            os.close(self._fd)
        with suppress(OSError):
            listener.accept()[0].close()
        self._fd = _spare()


def _spare() -> int | None:
    with suppress(OSError):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return None
