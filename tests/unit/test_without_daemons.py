"""`scripts/without-daemons`: while packages are installed nothing starts; then the host's policy is back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.outer import ROOT

SCRIPT = str(ROOT / "scripts/without-daemons")
MAY_START = "#!/bin/sh\nexit 0\n"
ASK = 'code=0; "$POLICY_RC_D" bird start || code=$?; echo asked: $code; '


def install(policy: Path, command: str) -> subprocess.CompletedProcess[str]:
    """What it does around `command`, with a policy file of the test's own."""
    return subprocess.run(
        [SCRIPT, "sh", "-c", ASK + command],
        env={**os.environ, "POLICY_RC_D": str(policy)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill $PPID", 143)])
@pytest.mark.parametrize("before", ["", MAY_START])
def test_nothing_may_start_meanwhile_and_afterwards_all_is_as_before(
    tmp_path: Path, command: str, code: int, before: str
) -> None:
    policy = tmp_path / "policy-rc.d"
    if before:
        policy.write_text(before)
        policy.chmod(0o755)
    done = install(policy, command)
    assert (done.stdout, done.returncode) == ("asked: 101\n", code)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == (
        {policy.name: before} if before else {}
    )


def test_what_a_killed_run_left_is_put_right_by_the_next(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(MAY_START)
    assert install(policy, "kill -9 $PPID").returncode == -9
    assert "exit 101" in policy.read_text()
    assert install(policy, "exit 0").stdout == "asked: 101\n"
    assert [file.name for file in tmp_path.iterdir()] == [policy.name]
    assert policy.read_text() == MAY_START
