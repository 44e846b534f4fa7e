"""Init of a guest kernel that carries a lab: the supervisor runs here as it would on the host.

The host's door (`carrier`) connects for every client and for every stream of a command; here these become a
client of the control socket, and a pipe or a terminal.
"""

from __future__ import annotations

import ctypes
import json
import os
import pty
import queue
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from testbed.lab import registry, wire
from testbed.lab.passage import join
from testbed.lab.relay import Relay
from testbed.lab.supervisor import begin
from testbed.lab.wire import encode
from testbed.sandbox import guest_init
from testbed.sandbox.pumps import Arrivals, Keys, Output, Pump

_HOME = Path("/run/lab")
"""Where the control socket and the pid lie: a socket on the host's file system would not be this kernel's."""
_API = _HOME / "api.sock"
"""Where the API server serves those from outside."""
_FIRST_BYTES = 4096
_POWER_OFF = 0x4321FEDC  # reboot(2)


def main() -> None:
    """Never returns: the kernel ends with the lab."""
    folder = Path(sys.argv[1])
    guest_init.prepare(folder)
    _HOME.mkdir()
    heard, said = os.pipe()
    if os.fork() == 0:
        os.close(heard)
        os.dup2(said, 1)
        os.close(said)
        begin(folder, wire.listen(_HOME), (), registry.pid_file(_HOME))
    os.close(said)
    listener, host = guest_init.hello()
    threading.Thread(target=_pass_handshake, args=(heard, host), daemon=True).start()
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    _reap()


def _pass_handshake(heard: int, host: socket.socket) -> None:
    """The one line by which the supervisor says that it listens, or why not."""
    with host, os.fdopen(heard, "rb") as lines:
        host.sendall(lines.readline())


def _reap() -> NoReturn:
    """Take what ends, until PID 1 of the lab does (or it has not begun: then nothing is left)."""
    lab = None
    while True:
        try:
            ended, _ = os.wait()
        except ChildProcessError:
            break
        lab = lab or registry.pid(_HOME)
        if ended == lab:
            break
    sys.stderr.flush()
    os.sync()
    ctypes.CDLL(None).reboot(_POWER_OFF)
    raise SystemExit("the guest cannot be switched off")


def _accept(listener: socket.socket) -> None:
    streams = Streams()
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_greet, args=(sock, streams), daemon=True).start()


def _greet(sock: socket.socket, streams: Streams) -> None:
    first = _first_line(sock)
    if "stream" in first:
        streams.put(first["stream"], sock)
    elif "api" in first:
        with sock, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(_API))
            join(sock, server)
    else:
        Visitor(sock, streams).serve()


def _first_line(sock: socket.socket) -> dict[str, Any]:
    """The line that a connection begins with; what follows it stays unread."""
    while (seen := sock.recv(_FIRST_BYTES, socket.MSG_PEEK)) and b"\n" not in seen:
        pass
    line: dict[str, Any] = json.loads(sock.recv(seen.index(b"\n") + 1))
    return line


class Streams:
    """Connections that wait for the request that names them, by token."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, queue.SimpleQueue[socket.socket]] = defaultdict(
            queue.SimpleQueue
        )

    def put(self, token: str, sock: socket.socket) -> None:
        self._waiting[token].put(sock)

    def take(self, token: str) -> socket.socket:
        """The connection of a token, which is on its way at the latest."""
        sock = self._waiting[token].get()
        del self._waiting[token]
        return sock


class Visitor:
    """A client of the control socket, in the name of one on the host."""

    def __init__(self, host: socket.socket, streams: Streams) -> None:
        self._streams = streams
        self._relay = Relay(host, wire.connect(_HOME), _on_its_way)

    def serve(self) -> None:
        """Until either end closes."""
        self._relay.serve(self._requests)

    def _requests(self) -> None:
        with self._relay.asking.makefile("rb") as lines:
            for line in lines:
                self._request(line)

    def _request(self, line: bytes) -> None:
        request = json.loads(line)
        if request.pop("listener", False):
            self._send(request, [_api_listener()])
            return
        tokens = request.pop("streams", None)
        if tokens is None:
            self._relay.answering.sendall(line)
            return
        pumps = self._relay.pumps_of(request)
        is_terminal = request["params"].get("tty", False)
        fds = self._terminal(tokens, pumps) if is_terminal else self._plain(tokens, pumps)
        self._send(request, fds)

    def _send(self, request: dict[str, Any], fds: list[int]) -> None:
        """Pass a request on with these descriptors, which are closed here."""
        data = encode(request)
        sent = socket.send_fds(self._relay.answering, [data], fds)
        self._relay.answering.sendall(data[sent:])
        for fd in set(fds):
            os.close(fd)

    def _plain(self, tokens: Sequence[str], pumps: list[Pump]) -> list[int]:
        """A descriptor for each: the command's input and outputs. "" is nothing: /dev/null."""
        fds: list[int] = []
        for number, token in enumerate(tokens):
            if not token:
                fds.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            elif token in tokens[1:number]:
                fds.append(fds[tokens.index(token, 1)])
            else:
                read, write = os.pipe()
                sock = self._streams.take(token)
                pumps.append(Output(read, sock) if number else Arrivals(write, sock))
                fds.append(write if number else read)
        return fds

    def _terminal(self, tokens: Sequence[str], pumps: list[Pump]) -> list[int]:
        sock = self._streams.take(tokens[0])
        master, slave = pty.openpty()
        pumps += [Output(os.dup(master), sock.dup()), Keys(master, sock)]
        return [slave] * len(tokens)


def _api_listener() -> int:
    """A listening socket in the place of one that the host has."""
    _API.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(_API))
        listener.listen(128)
        return listener.detach()


def _on_its_way(pump: Pump) -> None:
    """All that the command printed is on its way to the host."""
    pump.stop()
    if isinstance(pump, Output):
        pump.join()


if __name__ == "__main__":
    main()
