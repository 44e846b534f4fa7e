"""Running one side of a comparison in namespaces of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TESTBED = str(Path(sys.executable).with_name("testbed"))

_SANDBOX = (
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", 'mount -t tmpfs tmpfs /run && ulimit -n "$(ulimit -Hn)" && exec "$@"', "sh"),
)
_USER_SANDBOX = (_SANDBOX[0], "--user", "--map-root-user", *_SANDBOX[1:])


def output(argv: Sequence[str], *, own_user: bool = False, sandboxed: bool = True) -> str:
    """Standard output of a program that has to succeed. Raises CalledProcessError."""
    prefix = () if not sandboxed else _USER_SANDBOX if own_user else _SANDBOX
    done = subprocess.run(
        [*prefix, *argv],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stdout
