"""A container's file system, made while others change what it shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.outer import ROOT

pytestmark = pytest.mark.lab

SCENARIO = Path(__file__).with_name("container_root_scenario.py")
ROOTS = 12
"""Every other one failed where what had just been removed was missed."""
UNSHARE = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")


def test_what_the_host_removes_meanwhile_is_not_missed() -> None:
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(SCENARIO), str(ROOTS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
