"""Throw-away worlds for tests that kill, starve or fingerprint a whole host: a lab nests inside.

Whatever happens in one, the machine that runs the tests never sees it, so that tests run in parallel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTBED = (sys.executable, "-m", "testbed.cli.main")
AS_USER = ("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups")
"""An ordinary user, for suites that run as root."""

_OWN_RUN = 'mount -t tmpfs tmpfs /run && "$@"; exit $?'
_REAP = '"$@"; exit $?'
"""The shell is PID 1 and reaps what it inherits, as a host's init does."""


def root_world(command: Sequence[str]) -> list[str]:
    """`command` as root of a user namespace: labs make no user namespace of their own."""
    unshare = ["unshare", "-Urnmpf", "--mount-proc", "--kill-child"]
    return [*unshare, "sh", "-c", _OWN_RUN, "sh", *command]


def ordinary_world(command: Sequence[str]) -> list[str]:
    """`command` as a user without privileges: every lab begins with a user namespace."""
    drop = AS_USER if os.geteuid() == 0 else ()
    unshare = ["unshare", "-Ucnmpf", "--mount-proc", "--kill-child"]
    return [*drop, *unshare, "sh", "-c", _REAP, "sh", *command]


def run(
    argv: Sequence[str], runtime_folder: Path, timeout_s: float = 500.0
) -> subprocess.CompletedProcess[str]:
    """Run a world to its end; ordinary users' labs are in `runtime_folder`."""
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout_s, check=False, env=env, cwd=ROOT
    )
