"""Completion, asked as bash asks: a line that is being typed, and what may come next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
eval "$(testbed completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete testbed "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(line: str, folder: Path) -> set[str]:
    """What bash would offer after `line`, typed in `folder`."""
    search_path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", line],
        cwd=folder,
        env={**os.environ, "PATH": search_path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return {word.strip() for word in done.stdout.splitlines() if word.strip()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("testbed inspe", {"inspect"}),
        ("testbed run bala", {"balance"}),
        ("testbed run balance --prof", {"--profile"}),
        ("testbed up mine", {"mine.yaml"}),
        ("testbed up quick", {"quickstart"}),
        ("testbed load --close ", {"fin", "rst"}),
        ("testbed fault anything cr", {"crash"}),
        ("testbed report 2026", {"20260101T000000Z-1"}),
        ("testbed exec no-such-lab c", set()),
    ],
)
def test_a_line_goes_on(line: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "more.txt").touch()
    run = tmp_path / "results" / "balance" / "20260101T000000Z-1"
    run.mkdir(parents=True)
    (run / "run.json").touch()
    assert offered(line, tmp_path) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_own(shell: str) -> None:
    command = [sys.executable, "-m", "testbed.cli.main", "completion", shell]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "testbed" in printed
    assert ("complete --command testbed" in printed) == (shell == "fish")
