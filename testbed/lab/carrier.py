"""The host's side of a lab in a guest kernel: what is said to the control socket goes in, and comes back.

A guest cannot be handed a file descriptor. Those that ride along with a request stay here; each gets a
connection of its own into the guest, named by a token that the request carries instead (`streams`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import stat
import sys
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.kernel.guests import GuestKernel
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
        self._client = client
        self._connect = connect
        self._tokens = tokens
        self._guest = connect({"control": True})
        self._pumps: dict[int, list[Pump]] = {}
        """Streams of the calls that have not been answered, by the call's id."""

    def serve(self) -> None:
        """Until either end closes."""
        answers = threading.Thread(target=self._answers, daemon=True)
        answers.start()
        with contextlib.suppress(OSError):
            self._requests()
        for sock in (self._guest, self._client):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        answers.join()
        for pumps in self._pumps.values():
            for pump in pumps:
                pump.cut()
        self._guest.close()
        self._client.close()

    def _requests(self) -> None:
        received = b""
        fds: list[int] = []
        while True:
            data, new, _, _ = socket.recv_fds(self._client, _CHUNK, _MAX_FDS)
            fds += new
            if not data:
                return
            *lines, received = (received + data).split(b"\n")
            for line in lines:
                self._guest.sendall(self._with_streams(line, fds) if fds else line + b"\n")
                fds = []

    def _with_streams(self, line: bytes, fds: list[int]) -> bytes:
        """The request, with the streams that stand for its descriptors, which are ours from here on."""
        request = json.loads(line)
        pumps = self._pumps[int(request["id"])] = []
        tty_asked = request["params"].get("tty", False)
        streams = self._terminal(fds, pumps) if tty_asked else self._plain(fds, pumps)
        return encode({**request, "streams": streams})

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

    def _answers(self) -> None:
        with contextlib.suppress(OSError), self._guest.makefile("rb") as lines:
            for line in lines:
                if self._pumps:
                    self._settle(json.loads(line))
                self._client.sendall(line)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def _settle(self, message: dict[str, Any]) -> None:
        """Before a call's answer is passed on, all that its command printed has to be out."""
        if "progress" in message:
            return
        for pump in self._pumps.pop(int(message["id"]), ()):
            if not isinstance(pump, Arrivals):
                pump.stop()
            pump.join()
