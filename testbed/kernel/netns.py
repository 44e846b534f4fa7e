"""Network namespaces as file descriptors.

A network namespace belongs to a *thread*: `entered` moves the calling thread and moves it back. A socket
stays in the namespace where it was made, so most callers enter, make a socket, and leave.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# Python before 3.12 has neither os.setns nor os.unshare.
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def unshare(flags: int) -> None:
    """unshare(2) of the calling thread. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int = CLONE_NEWNET) -> None:
    """setns(2) of the calling thread. Raises OSError."""
    _check(_libc.setns(fd, flags), "setns")


def create() -> int:
    """A file descriptor of a new network namespace; the calling thread stays where it is."""
    home = current()
    try:
        unshare(CLONE_NEWNET)
        try:
            return current()
        finally:
            setns(home)
    finally:
        os.close(home)


def current() -> int:
    """A new file descriptor of the calling thread's network namespace; the caller closes it."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def entered(namespace: int | str) -> Iterator[None]:
    """The calling thread is in a namespace for the length of the block (about 4 µs both ways).

    `namespace` is a file descriptor, or a path such as /proc/2/fd/57.
    """
    home = current()
    target = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC) if isinstance(namespace, str) else None
    try:
        setns(namespace if target is None else target)  # type: ignore[arg-type]
        try:
            yield
        finally:
            setns(home)
    finally:
        os.close(home)
        if target is not None:
            os.close(target)
