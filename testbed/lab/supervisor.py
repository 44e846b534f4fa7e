"""The process that is a lab: `python -m testbed.lab.supervisor FOLDER`.

It enters its own world first, with as little imported as can be (a user namespace wants one thread), then
forks the zygote, then becomes the control plane. Standard output carries the handshake to who started it:
`listening`, or `error {…}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from testbed.errors import TestbedError
from testbed.lab import registry, wire
from testbed.sandbox import world

_PATIENCE_S = 20.0
"""How long a lab that nobody has spoken to yet stays."""


def main() -> None:
    """Start; never returns to the shell that called it in the foreground."""
    folder = Path(sys.argv[1])
    try:
        lock = registry.hold(folder)
        listener = wire.listen(folder)
        world.enter(lambda: _supervise(folder, lock, listener.detach()), registry.pid_file(folder))
    except TestbedError as error:
        _say(f"error {json.dumps(wire.error_message(error))}")
        sys.exit(error.exit_code)


def _say(line: str) -> None:
    """The handshake; whoever waited for it may be gone."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _supervise(folder: Path, lock: int, listener_fd: int) -> int:
    """In the new world, as PID 2."""
    import socket

    from testbed.lab.mains import fork_zygote

    processes = fork_zygote((lock, listener_fd))

    from testbed.lab.service import run

    listener = socket.socket(fileno=listener_fd)
    _say("listening")
    # From here on nobody reads standard output: what is printed goes to the log.
    os.dup2(2, 1)
    return run(folder, listener, processes, _PATIENCE_S)


if __name__ == "__main__":
    main()
