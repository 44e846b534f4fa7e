"""Connections to a socket, passed on one by one: how clients of the API come into a guest kernel."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

_CHUNK = 1 << 16


def pass_on(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Pass every connection to one of `connect`'s, on threads, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_one, args=(client, connect), daemon=True).start()


def _one(client: socket.socket, connect: Callable[[], socket.socket]) -> None:
    with client, contextlib.suppress(OSError), connect() as server:
        join(client, server)


def join(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways, until both have said all."""
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one of the two has gone: so shall the other
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
