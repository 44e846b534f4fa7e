"""The process that is a lab: `python -m testbed.lab.supervisor FOLDER [KERNEL]`.

It enters its own world first, with as little imported as can be (a user namespace wants one thread), then
forks the zygote, then becomes the control plane. Standard output carries the handshake to who started it:
`listening`, or `error {…}`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from testbed.errors import TestbedError
from testbed.lab import docker_side, registry, wire
from testbed.sandbox import world

_PATIENCE_S = 20.0
"""How long a lab that nobody has spoken to yet stays."""


def main() -> None:
    """Start; never returns to the shell that called it in the foreground."""
    folder = Path(sys.argv[1])
    try:
        lock = registry.hold(folder)
        listener = wire.listen(folder)
        if len(sys.argv) > 2:
            _begin_in_guest(folder, listener, sys.argv[2])
        begin(folder, listener, (lock,), registry.pid_file(folder))
    except TestbedError as error:
        _say(f"error {json.dumps(wire.error_message(error))}")
        sys.exit(error.exit_code)


def begin(
    folder: Path, listener: socket.socket, keep_out: tuple[int, ...], pid_file: Path
) -> NoReturn:
    """Make the lab's world here and be its supervisor. `keep_out`: what the lab's processes must not hold."""
    listener_fd = listener.detach()
    keep_out = (*keep_out, listener_fd)
    outside = docker_side.begin(folder, keep_out)
    world.enter(lambda: _supervise(folder, listener_fd, keep_out, outside), pid_file)


def _begin_in_guest(folder: Path, listener: socket.socket, name: str) -> NoReturn:
    """Make a world with a guest kernel in it, and be its door."""
    from testbed.kernel import guests
    from testbed.lab.carrier import carry

    kernel = guests.named(name)
    env = {**os.environ, guests.LABEL: kernel.label}
    world.enter(lambda: carry(folder, listener, kernel, env), registry.pid_file(folder))


def _say(line: str) -> None:
    """The handshake; whoever waited for it may be gone."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _supervise(
    folder: Path, listener_fd: int, keep_out: tuple[int, ...], outside: socket.socket | None
) -> int:
    """In the new world, as PID 2."""
    from testbed.lab.mains import fork_zygote

    zygote = fork_zygote(keep_out if outside is None else (*keep_out, outside.fileno()))
    from testbed.lab.planner import GC_THRESHOLDS
    from testbed.lab.service import Beside, run

    gc.set_threshold(*GC_THRESHOLDS)

    listener = socket.socket(fileno=listener_fd)
    _say("listening")
    # From here on nobody reads standard output: what is printed goes to the log.
    os.dup2(2, 1)
    return run(folder, listener, Beside(zygote, outside), _PATIENCE_S)


if __name__ == "__main__":
    main()
