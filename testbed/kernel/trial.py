"""How a feature of the host is tried: a shell line in a throw-away sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.kernel.search_path import tool_path, with_tools

NO_ANSWER = "no answer in"
"""How `detail` begins where a trial took too long: nothing is known then."""
_TRIAL_TIMEOUT_S = 30.0
_SANDBOX = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_PRIVATE_RUN = "mount -t tmpfs tmpfs /run && "  # legacy's lock file lies there


@dataclass(frozen=True, slots=True)
class Trial:
    """How a feature is found. `line` is a shell line that succeeds where it works."""

    needed_for: str
    line: str
    tool: str = ""
    """The program without which `line` cannot work; "" where the feature is the kernel's alone."""
    package: str = ""
    """The Debian and Ubuntu package that holds the tool."""
    sandboxed: bool = True
    """False: the line only asks a program who it is, and runs as it stands."""


def absent_tools(trial: Trial) -> Iterator[tuple[str, str]]:
    """(program, its package) of each that the trial needs and that is not installed."""
    wanted = [(_SANDBOX[0], "util-linux")] if trial.sandboxed else []
    for tool, package in [*wanted, (trial.tool, trial.package)]:
        if tool and shutil.which(tool, path=tool_path()) is None:
            yield tool, package


def failure(trial: Trial) -> str | None:
    """None where the line succeeds, else what it said."""
    argv = ["sh", "-c", trial.line]
    if trial.sandboxed:
        own_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        argv = [*_SANDBOX, *own_user, "sh", "-c", _PRIVATE_RUN + trial.line]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_TIMEOUT_S,
            env={**with_tools(os.environ), "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    except subprocess.TimeoutExpired:
        return f"{NO_ANSWER} {_TRIAL_TIMEOUT_S:g} s"
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[0] if said else f"exit code {done.returncode}"
