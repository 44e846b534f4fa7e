"""What a command inside the lab sees: its machine's name, its own resolv.conf and hosts file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import termios
from pathlib import Path
from typing import Any, NoReturn

from testbed.kernel import netns
from testbed.sandbox.world import bind, mount, private_mounts

_HIDDEN = ("/run/systemd/resolve", "/run/nscd", "/var/run/nscd")
"""Sockets by which libc would ask the *host's* resolver instead of the pod's."""
CANNOT_EXECUTE, NOT_FOUND = 126, 127
"""What a shell answers for a command that is not executable, or not there."""


def execute(config: dict[str, Any], fds: list[int]) -> NoReturn:
    """Become `config["argv"]`, with `fds` as standard input, output and error; already in its netns.

    A fourth one is closed once the command runs; where it cannot, something is written to it before.
    """
    os.setsid()
    for target, fd in enumerate(fds[:3]):
        os.dup2(fd, target)
    for fd in fds[:3]:
        if fd > 2:
            os.close(fd)
    for fd in fds[3:]:
        os.set_inheritable(fd, False)
    if config["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    netns.unshare(netns.CLONE_NEWNS | netns.CLONE_NEWUTS)
    private_mounts()
    socket.sethostname(config["hostname"])
    # Some tools read devices from /sys; a container host may refuse the mount, and they do without.
    with contextlib.suppress(OSError):
        mount("sysfs", "/sys", "sysfs")
    _names(config["resolv_conf"], config["hosts"])
    argv = config["argv"]
    try:
        os.execvpe(argv[0], argv, config["env"])
    except OSError as error:
        for fd in fds[3:]:
            os.write(fd, b"no")
        # A folder on PATH that may not be read makes "not there" look like "not allowed".
        named = "/" not in argv[0] and shutil.which(argv[0], path=config["env"]["PATH"]) is None
        if named or isinstance(error, FileNotFoundError):
            print(
                f"testbed: {argv[0]}: no such command on this machine", file=sys.stderr, flush=True
            )
            os._exit(NOT_FOUND)
        print(f"testbed: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(CANNOT_EXECUTE)


def _names(resolv_conf: str, hosts: str) -> None:
    """Bind the machine's own name files over the host's; `""` and missing targets are left alone."""
    for folder in _HIDDEN:
        if Path(folder).is_dir():
            mount("tmpfs", folder, "tmpfs", data="size=64k")
    for target, source in (("/etc/resolv.conf", resolv_conf), ("/etc/hosts", hosts)):
        if not source:
            continue
        real = Path(os.path.realpath(target))
        if not real.exists():  # a link into a folder that was hidden just now
            with contextlib.suppress(OSError):
                real.touch()
        with contextlib.suppress(OSError):
            bind(source, str(real))
