"""A small process beside the lab's world that hands in what only the host's namespaces show.

It is forked before the lab's world is entered, and ends when the lab has ended: then it takes away what the lab
had the daemon make. Requests and answers are JSON, one to a SOCK_SEQPACKET message; a descriptor rides along.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from testbed.errors import MissingFeature, NotFound

_MAX_MESSAGE = 4096


class Outside:
    """The lab's end. Calls take a fraction of a millisecond, and may come from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._one_by_one = threading.Lock()

    def namespace(self, pid: int, container: str) -> int:
        """The network namespace of a container's process: a descriptor. Raises MissingFeature where the process
        is another's: then the daemon's machine is not this one.
        """
        return self._descriptor({"ask": "namespace", "pid": pid, "container": container})

    def process(self, pid: int) -> int:
        """A descriptor that can be read from when the process has ended (pidfd_open(2)). Raises NotFound."""
        return self._descriptor({"ask": "process", "pid": pid})

    def stat(self, pid: int) -> str:
        """Text of /proc/PID/stat. Raises NotFound."""
        text: str = self._answer({"ask": "stat", "pid": pid})[0]["text"]
        return text

    def signal(self, pid: int, signum: int) -> None:
        """No error when it has ended."""
        with suppress(NotFound):
            self._answer({"ask": "signal", "pid": pid, "signum": signum})

    def _descriptor(self, request: dict[str, Any]) -> int:
        return self._answer(request)[1][0]

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        with self._one_by_one:
            self._socket.send(json.dumps(request).encode())
            data, fds, _, _ = socket.recv_fds(self._socket, _MAX_MESSAGE, 1)
        answer = json.loads(data)
        if "gone" in answer:
            raise NotFound("the process has ended")
        if "foreign" in answer:
            raise MissingFeature(
                "the Docker daemon's containers are not processes of this machine",
                "runtime docker takes a daemon on the machine that the lab is on, in the same PID namespace",
            )
        return answer, list(fds)


def fork(at_end: Callable[[], None], pid_file: Path, keep_out: tuple[int, ...]) -> socket.socket:
    """Fork it; returns the lab's end of its socket. `at_end` is what it does when the lab has ended.

    `keep_out` are file descriptors that it must not hold. Its pid is written to `pid_file`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        for fd in keep_out:
            os.close(fd)
        _serve(theirs, at_end)
    theirs.close()
    pid_file.write_text(str(pid))
    return ours


def _serve(requests: socket.socket, at_end: Callable[[], None]) -> NoReturn:
    """Answer until every process of the lab has ended."""
    os.dup2(2, 1)  # whoever starts the lab reads the handshake until it is closed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        while data := requests.recv(_MAX_MESSAGE):
            _answer(json.loads(data), requests)
        at_end()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _answer(request: dict[str, Any], requests: socket.socket) -> None:
    answer: dict[str, Any]
    fds: list[int] = []
    try:
        answer, fds = _found(request["ask"], request["pid"], request)
    except (FileNotFoundError, ProcessLookupError):
        answer = {"gone": True}
    socket.send_fds(requests, [json.dumps(answer).encode()], fds)
    for fd in fds:
        os.close(fd)


def _found(ask: str, pid: int, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    proc = Path(f"/proc/{pid}")
    match ask:
        case "namespace":
            # Whatever the daemon keeps control groups by, their names hold the container's id.
            if not proc.exists() or request["container"] not in (proc / "cgroup").read_text():
                return {"foreign": True}, []
            return {}, [os.open(proc / "ns/net", os.O_RDONLY | os.O_CLOEXEC)]
        case "process":
            return {}, [os.pidfd_open(pid)]
        case "stat":
            return {"text": (proc / "stat").read_text()}, []
    os.kill(pid, request["signum"])
    return {}, []
