"""The host's side of a lab in a guest kernel: what is said to the control socket goes in, and comes back.

A guest cannot be handed a file descriptor. Those that ride along with a request stay here; each gets a
connection of its own into the guest, named by a token that the request carries instead (`streams`).
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import stat
import sys
import threading
import tty
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from testbed.kernel.guests import GuestKernel
from testbed.lab.passage import pass_on
from testbed.lab.relay import Relay
from testbed.lab.wire import encode
from testbed.sandbox.guest import Guest, boot
from testbed.sandbox.pumps import Arrivals, Input, Pump, Terminal

_CHUNK, _MAX_FDS = 1 << 16, 8
_MAIN = "testbed.lab.carried"
Connect = Callable[[dict[str, Any]], socket.socket]
"""A new connection into the guest that begins with this line."""


def carry(folder: Path, listener: socket.socket, kernel: GuestKernel, env: dict[str, str]) -> int:
    """Boot the guest in this world and be its door until it ends; returns the exit code."""
    guest = boot(kernel, folder, _MAIN, env)
    with guest.hello() as hello, hello.makefile("r") as lines:
        for line in lines:  # `listening`, or `error {…}`
            sys.stdout.write(line)
            sys.stdout.flush()
    os.dup2(2, 1)
    threading.Thread(target=_accept, args=(listener, guest), daemon=True).start()
    return guest.process.wait()


def _accept(listener: socket.socket, guest: Guest) -> None:
    tokens = itertools.count(1)

    def connect(first: dict[str, Any]) -> socket.socket:
        sock = guest.connect()
        sock.sendall(encode(first))
        return sock

    while True:
        client, _ = listener.accept()
        threading.Thread(target=Door(client, connect, tokens).serve, daemon=True).start()


class Door:
    """One client's connection, carried."""

    def __init__(
        self, client: socket.socket, connect: Connect, tokens: itertools.count[int]
    ) -> None:
        self._connect = connect
        self._tokens = tokens
        self._relay = Relay(client, connect({"control": True}), _printed)

    def serve(self) -> None:
        """Until either end closes."""
        self._relay.serve(self._requests)

    def _requests(self) -> None:
        received = b""
        fds: list[int] = []
        while True:
            data, new, _, _ = socket.recv_fds(self._relay.asking, _CHUNK, _MAX_FDS)
            fds += new
            if not data:
                return
            *lines, received = (received + data).split(b"\n")
            for line in lines:
                passed = self._with_streams(line, fds) if fds else line + b"\n"
                self._relay.answering.sendall(passed)
                fds = []

    def _with_streams(self, line: bytes, fds: list[int]) -> bytes:
        """The request, with the streams that stand for its descriptors, which are ours from here on."""
        request = json.loads(line)
        if request["method"] == "listen_api":
            self._listen(socket.socket(fileno=fds[0]))
            return encode({**request, "listener": True})
        pumps = self._relay.pumps_of(request)
        tty_asked = request["params"].get("tty", False)
        streams = self._terminal(fds, pumps) if tty_asked else self._plain(fds, pumps)
        return encode({**request, "streams": streams})

    def _listen(self, listener: socket.socket) -> None:
        """Pass who connects there to the API server."""
        to_api = partial(self._connect, {"api": True})
        threading.Thread(target=pass_on, args=(listener, to_api), daemon=True).start()

    def _plain(self, fds: list[int], pumps: list[Pump]) -> list[str]:
        """Standard input, then outputs: two that are one file stay one stream, in the order written."""
        streams: list[str] = []
        known: dict[tuple[int, int], str] = {}
        for number, fd in enumerate(fds):
            status = os.fstat(fd)
            file = (status.st_dev, status.st_ino)
            if stat.S_ISCHR(status.st_mode) and os.path.samestat(status, os.stat(os.devnull)):
                streams.append("")
                os.close(fd)
            elif number and file in known:
                streams.append(known[file])
                os.close(fd)
            else:
                token = str(next(self._tokens))
                sock = self._connect({"stream": token})
                pumps.append(Arrivals(fd, sock) if number else Input(fd, sock))
                streams.append(token)
                if number:
                    known[file] = token
        return streams

    def _terminal(self, fds: list[int], pumps: list[Pump]) -> list[str]:
        """One stream both ways. The guest's terminal edits and echoes: ours must not."""
        tty.setraw(fds[0])
        token = str(next(self._tokens))
        sock = self._connect({"stream": token})
        pumps += [Terminal(fds[0], sock.dup()), Arrivals(fds[1], sock)]
        for fd in fds[2:]:
            os.close(fd)
        return [token] * len(fds)


def _printed(pump: Pump) -> None:
    """All that the command printed is out; what it was to read it reads no more."""
    if not isinstance(pump, Arrivals):
        pump.stop()
    pump.join()
