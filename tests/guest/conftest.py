"""Guests for tests: a kernel is booted once a module, and runs what it is given as its root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from testbed.kernel import guests
from testbed.sandbox.errand import GuestShell

InGuest = Callable[..., "subprocess.CompletedProcess[str]"]
"""`in_guest(argv)` runs a command, `in_guest(script)` Python source, each to its end (see `GuestShell.run`).

The guest reads the host's files and cannot write them; what a scenario found out it prints.
"""


@pytest.fixture(scope="module")
def packaged_guest() -> Iterator[GuestShell]:
    """The distribution's guest kernel, booted."""
    with GuestShell(guests.named(guests.PACKAGED)) as shell:
        yield shell


@pytest.fixture(scope="module")
def in_guest(packaged_guest: GuestShell) -> InGuest:
    """Runs a command, or Python source, as root of the distribution's guest kernel."""

    def run(what: str | list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", what] if isinstance(what, str) else what
        return packaged_guest.run(argv, stdin)

    return run
