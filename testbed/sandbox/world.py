"""Entering a lab's own user, mount, PID and network namespaces.

Nothing has to be cleaned up: when PID 1 of the world ends, however it ends, the kernel kills everything in
it and takes the namespaces back.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from testbed.errors import MissingFeature
from testbed.kernel import netns

_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x40000, 2, 4, 8
_MS_BIND = 0x1000
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"mount on {target}: {os.strerror(errno)}")


def bind(source: str, target: str) -> None:
    """Let `target` show the file `source`, in this mount namespace."""
    mount(source, target, flags=_MS_BIND)


def private_mounts() -> None:
    """From here on mounts of this mount namespace stay in it."""
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)


def enter(supervisor: Callable[[], int], pid_file: Path) -> NoReturn:
    """Make the world and run `supervisor` in it as PID 2; PID 1 reaps, and ends when the supervisor does.

    The calling process must have one thread, and ends at once. PID 1 writes its pid, as the host counts, to
    `pid_file`. Raises MissingFeature where this host refuses.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = netns.CLONE_NEWNS | netns.CLONE_NEWPID | netns.CLONE_NEWNET | netns.CLONE_NEWUTS
    if uid != 0:
        flags |= netns.CLONE_NEWUSER
    try:
        netns.unshare(flags)
        if uid != 0:
            _map_ids(uid, gid)
    except OSError as error:
        raise MissingFeature(
            f"this host does not let user {uid} make namespaces: {error.strerror}", _remedy(uid)
        ) from None
    # An unprivileged world would lose /proc/PID/fd of its own processes without this.
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if os.fork():
        os._exit(0)
    # Still the host's /proc: by itself PID 1 could only say that it is 1.
    pid_file.write_text(os.readlink("/proc/self"))
    private_mounts()
    try:
        mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError as error:
        raise MissingFeature(
            f"this host does not let user {uid} mount /proc: {error.strerror}",
            "inside a container: run it with --security-opt systempaths=unconfined, or --privileged",
        ) from None
    _init(supervisor)


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the machine's first (user_namespaces(7))."""
    everybody = ["0", "0", "4294967295"]
    return Path("/proc/self/uid_map").read_text().split() != everybody


def _map_ids(uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _remedy(uid: int) -> str:
    from testbed.kernel.capabilities import root_remedy
    from testbed.kernel.user_namespaces import user_namespace_remedy

    if uid == 0:
        return root_remedy() or "run it outside the container, or with --privileged"
    return user_namespace_remedy()


def _init(supervisor: Callable[[], int]) -> NoReturn:
    """PID 1: reap whatever ends; be over when the supervisor is."""
    child = os.fork()
    if child == 0:
        os._exit(supervisor())
    # The supervisor decides when to end; PID 1 passes the request on.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
