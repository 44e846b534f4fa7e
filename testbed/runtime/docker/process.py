"""A lab process that stands for one of the daemon's: it passes its streams on and ends with its exit code.

The daemon's streams come by HTTP connections that turn into plain ones. The SDK hands out the socket beneath
its own buffer, in which the first bytes may lie already: here they are read by the standard library's client.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import select
import signal
import socket
import struct
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

_CHUNK = 1 << 16
_HEADER = struct.Struct(">BxxxI")
"""Of a piece of output: 1 or 2, for standard output or error, and its length."""
_SWITCHING = 101
_CANNOT_EXECUTE, _NOT_FOUND, _UNKNOWN = 126, 127, 137


class _Connection(http.client.HTTPConnection):
    """To a daemon's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class _Refused(Exception):
    """The daemon's own words."""


class _Daemon:
    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("unix://")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers. Raises _Refused."""
        connection = _Connection(self._path)
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 300:
            raise _Refused(_message(data))
        return json.loads(data) if data else None

    def streams(self, path: str, body: Any = None) -> tuple[socket.socket, bytes]:
        """A connection that carries a process's streams, and what has come already. Raises _Refused."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        data = json.dumps(body or {}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        sock.sendall(head.encode() + data)
        come = b""
        while b"\r\n\r\n" not in come:
            more = sock.recv(_CHUNK)
            if not more:
                raise _Refused("the daemon hung up")
            come += more
        answered, _, rest = come.partition(b"\r\n\r\n")
        status = int(answered.split(None, 2)[1])
        if status not in (_SWITCHING, 200):
            raise _Refused(_message(rest or answered))
        return sock, rest


def _message(data: bytes) -> str:
    text = data[data.find(b"{") : data.rfind(b"}") + 1]
    with suppress(ValueError, KeyError):
        return str(json.loads(text)["message"])
    return data.decode(errors="replace").strip()


def container(config: dict[str, Any], fds: list[int]) -> NoReturn:
    """Start a container that has been made, and be at its streams until it ends.

    `fds`: standard input, output, error, and where to say `error CODE TEXT` where it cannot be started; that is
    closed once it runs. `config`: `url`, `container`, `stdin`, `tty`.
    """
    daemon, path = _Daemon(config["url"]), f"/containers/{config['container']}"

    def begin() -> tuple[socket.socket, bytes]:
        wanted = f"stream=1&stdout=1&stderr=1&stdin={int(config['stdin'])}"
        streams = daemon.streams(f"{path}/attach?{wanted}")
        daemon.call("POST", f"{path}/start")
        if config["tty"]:
            _follow_size(fds[0], lambda size: daemon.call("POST", f"{path}/resize?{size}"))
        return streams

    def code() -> int:
        return int(daemon.call("POST", f"{path}/wait")["StatusCode"])

    _be(config, fds, begin, code)


def command(config: dict[str, Any], fds: list[int]) -> NoReturn:
    """Run a command in a container, as prepared by the daemon under `exec`; `fds` as above, the last one may
    be missing. `config`: `url`, `exec`, `stdin`, `tty`.
    """
    daemon, path = _Daemon(config["url"]), f"/exec/{config['exec']}"

    def begin() -> tuple[socket.socket, bytes]:
        streams = daemon.streams(f"{path}/start", {"Detach": False, "Tty": config["tty"]})
        if config["tty"]:
            _follow_size(fds[0], lambda size: daemon.call("POST", f"{path}/resize?{size}"))
        return streams

    def code() -> int:
        found = daemon.call("GET", f"{path}/json")["ExitCode"]
        return _UNKNOWN if found is None else int(found)

    _be(config, fds, begin, code)


def _be(
    config: dict[str, Any],
    fds: list[int],
    begin: Callable[[], tuple[socket.socket, bytes]],
    code: Callable[[], int],
) -> NoReturn:
    os.setsid()
    if config["tty"] and os.isatty(fds[0]):
        fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
        tty.setraw(fds[0])  # the daemon's terminal edits and echoes: ours must not
    try:
        sock, come = begin()
    except (_Refused, OSError) as error:
        _not_started(fds, str(error))
    for fd in fds[3:]:
        os.close(fd)
    with suppress(BrokenPipeError):
        _pump(sock, come, fds, stdin=config["stdin"], plain=config["tty"])
    try:
        os._exit(code())
    except (_Refused, OSError):  # the daemon, or the container, was taken away
        os._exit(_UNKNOWN)


def _not_started(fds: list[int], why: str) -> NoReturn:
    missing = "no such file" in why or "not found" in why
    code = _NOT_FOUND if missing else _CANNOT_EXECUTE
    if len(fds) > 3:
        os.write(fds[3], f"error {code} {why}\n".encode())
    else:
        os.write(fds[2], f"testbed: {why}\n".encode())
    os._exit(code)


def _pump(sock: socket.socket, come: bytes, fds: list[int], *, stdin: bool, plain: bool) -> None:
    """Until the daemon says that the streams are over."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if stdin:
        poll.register(fds[0], select.POLLIN)
    come = _print(come, fds, plain=plain)
    while True:
        for fd, _ in poll.poll():
            if fd == fds[0]:
                data = _read(fd)
                if data:
                    sock.sendall(data)
                else:
                    poll.unregister(fd)
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_WR)
            else:
                data = sock.recv(_CHUNK)
                if not data:
                    return
                come = _print(come + data, fds, plain=plain)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:  # the other side of a terminal has gone
        return b""


def _print(come: bytes, fds: list[int], *, plain: bool) -> bytes:
    """Write what is whole; returns the rest."""
    if plain:
        _write(fds[1], come)
        return b""
    while len(come) >= _HEADER.size:
        stream, length = _HEADER.unpack_from(come)
        end = _HEADER.size + length
        if len(come) < end:
            break
        _write(fds[2 if stream == 2 else 1], come[_HEADER.size : end])
        come = come[end:]
    return come


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _follow_size(terminal: int, resize: Callable[[str], Any]) -> None:
    def tell(*_: Any) -> None:
        packed = fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
        rows, columns = struct.unpack("HHHH", packed)[:2]
        if rows and columns:
            with suppress(_Refused, OSError):  # it has just ended
                resize(f"h={rows}&w={columns}")

    signal.signal(signal.SIGWINCH, tell)
    tell()
