"""Bytes between a file descriptor and a socket: how a command's input and output leave a guest.

Each pump is a thread that owns its descriptor and its socket. A descriptor may be anybody's (a terminal, a
pipe that others hold too): none is made non-blocking.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import threading

_CHUNK = 65536
_FRAME = struct.Struct("!BI")
_TYPED, _RESIZED = 0, 1
_SIZE_BYTES = struct.calcsize("HHHH")
_LOOK_S = 0.2
"""A terminal that is not our own tells us nothing when its size changes."""


class Pump:
    """One direction of one stream."""

    def __init__(self, fd: int, sock: socket.socket) -> None:
        self._fd = fd
        self._sock = sock
        self._stopped, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end: what was written before is still carried, what is yet to be typed is not read."""
        self._stop.close()

    def cut(self) -> None:
        """End it, whatever is lost."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self.stop()

    def join(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def _run(self) -> None:
        with self._sock, contextlib.suppress(OSError):  # one of the two ends has gone
            try:
                self._carry()
            finally:
                os.close(self._fd)

    def _carry(self) -> None:
        raise NotImplementedError

    def _ready(self, timeout_s: float | None) -> tuple[bool, bool]:
        """(whether the descriptor can be read or has ended, whether we are to stop)."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)}
        return self._fd in ready, self._stopped.fileno() in ready


class Output(Pump):
    """What the descriptor says goes to the socket, until it ends. Stopped: all that was said before."""

    def _carry(self) -> None:
        stopped = False
        while True:
            readable, stop = self._ready(0.0 if stopped else None)
            if readable:
                data = os.read(self._fd, _CHUNK)
                if not data:
                    break
                self._sock.sendall(data)
            elif stopped:
                break
            stopped = stopped or stop
        self._sock.shutdown(socket.SHUT_WR)


class Input(Pump):
    """What the descriptor says goes to the socket, until it ends. Stopped: nothing more is read."""

    def _carry(self) -> None:
        while True:
            readable, stop = self._ready(None)
            data = b"" if stop or not readable else os.read(self._fd, _CHUNK)
            if not data:
                break
            self._sock.sendall(data)
        self._sock.shutdown(socket.SHUT_WR)


class Arrivals(Pump):
    """What comes by the socket is written to the descriptor, until the socket ends."""

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def _carry(self) -> None:
        try:
            while data := self._sock.recv(_CHUNK):
                _write_all(self._fd, data)
        except OSError:
            # Nobody reads there any more: the other side learns of it as a writer to a pipe does.
            self._sock.shutdown(socket.SHUT_RDWR)
            raise


class Terminal(Pump):
    """What is typed on a terminal goes to the socket, framed; so do its changes of size."""

    def _carry(self) -> None:
        size = b""
        while True:
            readable, stop = self._ready(_LOOK_S)
            now = fcntl.ioctl(self._fd, termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
            if now != size:
                size = now
                self._sock.sendall(_FRAME.pack(_RESIZED, len(size)) + size)
            if stop:
                return
            if readable:
                data = os.read(self._fd, _CHUNK)
                self._sock.sendall(_FRAME.pack(_TYPED, len(data)) + data)


class Keys(Arrivals):
    """The other end of `Terminal`: `fd` is the master of a pseudo-terminal."""

    def _carry(self) -> None:
        with self._sock.makefile("rb") as frames:
            while head := frames.read(_FRAME.size):
                kind, length = _FRAME.unpack(head)
                data = frames.read(length)
                if kind == _RESIZED:
                    fcntl.ioctl(self._fd, termios.TIOCSWINSZ, data)
                else:
                    _write_all(self._fd, data)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # whoever shares it made it so
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
