"""The warm parent: a small process that has everything imported and forks whatever runs in the lab.

Starting Python costs 30 ms and more, a fork of a warm parent 1-2 ms. The zygote is forked off before the
supervisor has threads or an event loop; it has one thread itself, so its children may enter namespaces.
Requests and reports are JSON, one to a SOCK_SEQPACKET message; file descriptors ride along.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from testbed.clock import now_ns
from testbed.kernel import netns
from testbed.runtime import container_process, inside
from testbed.runtime.container_process import Program

MAX_MESSAGE = 160_000
"""Bytes of a request; the socket's buffer takes 212,992."""
Main = Callable[[dict[str, Any], socket.socket], None]


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a child can be, by the names that requests have for it."""

    mains: Mapping[str, Main]
    programs: Mapping[str, Program]


def fork(
    mains: Mapping[str, Main], programs: Mapping[str, Program], keep_out: tuple[int, ...] = ()
) -> socket.socket:
    """Fork the zygote. Returns the supervisor's end of its socket.

    `programs` are those that containers can be; `keep_out` are file descriptors that the zygote and its
    children must not hold.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        for fd in keep_out:
            os.close(fd)
        _serve(theirs, Kinds(mains, programs))
    theirs.close()
    return ours


def _serve(requests: socket.socket, kinds: Kinds) -> NoReturn:
    """Fork on request and report ends until the supervisor's end closes."""
    wake_in, wake_out = socket.socketpair()
    wake_in.setblocking(False)
    wake_out.setblocking(False)
    signal.set_wakeup_fd(wake_out.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # children share the pages: a collection would copy them
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    selector.register(wake_in, selectors.EVENT_READ)
    private = (requests.fileno(), wake_in.fileno(), wake_out.fileno(), selector.fileno())
    while True:
        for key, _ in selector.select():
            if key.fileobj is requests:
                data, fds, _, _ = socket.recv_fds(requests, MAX_MESSAGE, 8)
                if not data:
                    os._exit(0)
                _start(json.loads(data), list(fds), requests, kinds, private)
            else:
                wake_in.recv(4096)
                _report_ends(requests)


def _report_ends(requests: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        code = 128 - code if code < 0 else code
        requests.send(json.dumps({"exited": pid, "code": code, "t_ns": now_ns()}).encode())


def _start(
    request: dict[str, Any],
    fds: list[int],
    requests: socket.socket,
    kinds: Kinds,
    private: tuple[int, ...],
) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        failure = f"no process for {request['main']}: {error.strerror}"
        requests.send(json.dumps({"id": request["id"], "error": failure}).encode())
        for fd in fds:
            os.close(fd)
        return
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for fd in private:
            os.close(fd)
        _become(request, fds, kinds)
    for fd in fds:
        os.close(fd)
    answer = {"id": request["id"], "pid": pid, "t_ns": now_ns()}
    requests.send(json.dumps(answer).encode())


def _become(request: dict[str, Any], fds: list[int], kinds: Kinds) -> NoReturn:
    """In the forked child: go where it belongs and be what was asked for; never returns."""
    code = 1
    try:
        if request["netns"]:
            try:
                _enter(request["netns"])
            except OSError as error:  # the pod has just gone
                if request["main"] == "container":
                    container_process.cannot_begin(fds, error)
                raise
        if request["main"] == "exec":
            inside.execute(request["config"], fds)
        if request["main"] == "container":
            container_process.become(request["config"], fds, kinds.programs)
        if request["main"] in ("docker-container", "docker-command"):
            _of_docker(request, fds)
        with socket.socket(fileno=fds[0]) as channel:
            kinds.mains[request["main"]](request["config"], channel)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # a child must never fall back into the zygote's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _enter(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    netns.setns(fd)
    os.close(fd)


def _of_docker(request: dict[str, Any], fds: list[int]) -> NoReturn:
    # Only these labs pay for an HTTP client.
    from testbed.runtime.docker import process

    if request["main"] == "docker-container":
        process.container(request["config"], fds)
    process.command(request["config"], fds)
