"""Becoming a container's process, or one that joins it: namespaces, its root, its user, its program."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import sys
import termios
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from testbed.kernel import netns
from testbed.runtime import container_root
from testbed.runtime.container_root import Mount
from testbed.sandbox.world import private_mounts

Program = Callable[[Sequence[str]], Callable[[], int]]
"""A built-in program: its arguments -> what runs it, with all imported, and returns its exit code."""
CANNOT_EXECUTE, NOT_FOUND = 126, 127
_PR_SET_PDEATHSIG = 1
_JOINED = {"uts": netns.CLONE_NEWUTS, "mnt": netns.CLONE_NEWNS}


def become(config: dict[str, Any], fds: list[int], programs: Mapping[str, Program]) -> NoReturn:
    """Run a container's program; already in its network namespace. Ends with the program's exit code.

    `fds`: standard input, output, error, and where to say `pid N` (the program's, as the lab counts) and, where
    it cannot be started, `error CODE TEXT`; that is closed once the program runs. `config`: `argv`, `builtin`
    (the name of a built-in program, or ""), `env`, `cwd`, `hostname`, `tty`, `user` and `group` (null: the
    lab's own), `join` (the pid of a process of the container, or null) or else `root`: `scratch`, `avoid` and
    `mounts`, of (source, target, read-only).
    """
    report = fds[3]
    os.set_inheritable(report, False)
    try:
        joined = _joined(config["join"])
        if joined:
            netns.setns(joined.pop("pid"), netns.CLONE_NEWPID)
        else:
            netns.unshare(netns.CLONE_NEWPID)
        child = os.fork()
    except OSError as error:  # whom it was to join has ended, or there is no room for a process
        cannot_begin(fds, error)
    if child:
        os.write(report, f"pid {child}\n".encode())
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(128 - code if code < 0 else code)
    code = CANNOT_EXECUTE
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _stdio(fds[:3], config["tty"])
        builtin = programs[config["builtin"]](config["argv"]) if config["builtin"] else None
        _go_in(config, joined)
        code = _run(config, builtin, report)
    except OSError as error:
        os.write(report, f"error {code} {error}\n".encode())
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cannot_begin(fds: list[int], error: OSError) -> NoReturn:
    """Say why there is no program at all, and end."""
    os.write(fds[3], f"error {CANNOT_EXECUTE} {error}\n".encode())
    os._exit(CANNOT_EXECUTE)


def _joined(pid: int | None) -> dict[str, int]:
    """The namespaces of a process, as descriptors."""
    if pid is None:
        return {}
    return {
        name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        for name in ("pid", *_JOINED)
    }


def _stdio(fds: Sequence[int], is_terminal: bool) -> None:
    os.setsid()
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    for fd in set(fds):
        if fd > 2:
            os.close(fd)
    if is_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _go_in(config: dict[str, Any], joined: dict[str, int]) -> None:
    if joined:
        for name, fd in joined.items():
            netns.setns(fd, _JOINED[name])
    else:
        netns.unshare(netns.CLONE_NEWNS | netns.CLONE_NEWUTS)
        private_mounts()
        socket.sethostname(config["hostname"])
        root = config["root"]
        mounts = [Mount(*one) for one in root["mounts"]]
        container_root.enter(Path(root["scratch"]), root["avoid"], mounts)
    if config["user"] is not None or config["group"] is not None:
        os.setgroups([])
        group = config["group"]
        os.setgid(0 if group is None else group)
        os.setuid(config["user"] or 0)
    try:
        os.chdir(config["cwd"] or "/")
    except FileNotFoundError:
        os.makedirs(config["cwd"])  # as runtimes do
        os.chdir(config["cwd"])


def _run(config: dict[str, Any], builtin: Callable[[], int] | None, report: int) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    argv, env = config["argv"], config["env"]
    if builtin is not None:
        os.close(report)
        os.environ.clear()
        os.environ.update(env)
        return builtin()
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        # A folder on PATH that may not be read makes "not there" look like "not allowed".
        named = "/" not in argv[0] and shutil.which(argv[0], path=env.get("PATH")) is None
        missing = named or isinstance(error, FileNotFoundError)
        what = "no such command on this machine" if missing else error.strerror
        code = NOT_FOUND if missing else CANNOT_EXECUTE
        os.write(report, f"error {code} {argv[0]}: {what}\n".encode())
        return code
