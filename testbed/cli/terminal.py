"""A command in the lab on the user's own terminal: a pseudo-terminal between the two."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import threading
import tty
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.lab.client import Lab

_CHUNK = 65536


def execute_on_terminal(lab: Lab, where: str, command: Sequence[str], *, inside: bool) -> int:
    """Run it with a terminal of its own, relayed to ours; its exit code. `inside`: see `Lab.execute`.

    What is typed (Ctrl-C too) goes to the command; our own terminal is given back as it was.
    """
    ours, theirs = pty.openpty()
    _copy_size(ours)
    before = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGWINCH, lambda *_: _copy_size(ours))
    ended_read, ended_write = os.pipe()
    relay = threading.Thread(target=_relay, args=(ours, ended_read))
    try:
        tty.setraw(sys.stdin)
        relay.start()
        fds = (theirs, theirs, theirs)
        return lab.execute(where, command, fds, dict(os.environ), tty=True, inside=inside)
    finally:
        os.close(theirs)
        os.close(ended_write)
        if relay.ident is not None:
            relay.join()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        os.close(ours)
        os.close(ended_read)


def _copy_size(to: int) -> None:
    size = fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    fcntl.ioctl(to, termios.TIOCSWINSZ, size)


def _relay(ours: int, ended: int) -> None:
    """Both ways until the command has ended and all it printed is out."""
    over = False
    while True:
        waiting = [ours] if over else [ours, sys.stdin.fileno(), ended]
        readable, _, _ = select.select(waiting, [], [], 0.05 if over else None)
        if over and not readable:
            return
        if ended in readable:
            over = True
        if ours in readable:
            try:
                data = os.read(ours, _CHUNK)
            except OSError:  # the other end is closed
                return
            os.write(sys.stdout.fileno(), data)
        if sys.stdin.fileno() in readable:
            os.write(ours, os.read(sys.stdin.fileno(), _CHUNK))
