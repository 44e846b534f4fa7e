"""docs/tutorial.md, typed as it stands: its files written, its commands run, what they print compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.outer import ROOT, ordinary_world

TUTORIAL = ROOT / "docs" / "tutorial.md"
MARK = "@@@"
MAY_FIND_TRIALS_INVALID = "testbed run ./"
"""Exit code 1: the machine did not let the trials be what they should. No fault of the tutorial's."""

pytestmark = pytest.mark.lab


@dataclass(frozen=True, slots=True)
class Typed:
    """A command line, and the lines that the tutorial shows below it."""

    line: str
    shown: tuple[str, ...]


def blocks(kind: str) -> list[str]:
    """The tutorial's fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """What the reader is told to write, by the name in the first line."""
    texts = [*blocks("yaml"), *blocks("python")]
    return {text.partition("\n")[0].removeprefix("# "): text for text in texts}


def typed() -> list[Typed]:
    found = []
    for block in blocks("console"):
        for part in block.removeprefix("$ ").split("\n$ "):
            line, *shown = part.splitlines()
            found.append(Typed(line, tuple(text for text in shown if text not in {"", "…"})))
    return found


def alike(line: str) -> str:
    """A line without what differs from run to run and host to host: figures, units, chains' names, room."""
    line = re.sub(r"\b[A-Z0-9]{16}\b|(?<=iptables-)(nft|legacy)", "#", line)
    line = re.sub(r"\d[\d.,:TZ-]*( (s|ms|µs|ns)\b)?", "#", line)
    line = re.sub(
        r"\b(True|False)$", "#", line
    )  # whether a trial is valid says how busy the machine was
    return " ".join(line.removesuffix("…").split())


def missing(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """The shown lines that were not printed, in their order; what a line goes on with is left open."""
    rest: Iterator[str] = map(alike, printed)
    return [line for line in shown if not any(text.startswith(alike(line)) for text in rest)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that everybody may use, with a short path."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


@pytest.mark.timeout(1500)
def test_every_command_does_what_is_shown_to_an_ordinary_user(folder: Path) -> None:
    for name, text in files().items():
        (folder / name).write_text(text)
    commands = typed()
    lines = [f"{one.line}\nprintf '\\n{MARK}%s\\n' $?" for one in commands]
    done = subprocess.run(
        ordinary_world(["bash", "-o", "pipefail", "-c", "exec 2>&1\n" + "\n".join(lines)]),
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
        cwd=folder,
        env={
            **{key: os.environ[key] for key in os.environ.keys() - {"PYTHONUNBUFFERED"}},
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(folder),
        },
    )
    answers = re.findall(rf"(.*?)\n{MARK}(\d+)\n", done.stdout, re.DOTALL)
    assert len(answers) == len(commands), done.stdout + done.stderr
    for one, (printed, code) in zip(commands, answers, strict=True):
        if code == "1" and one.line.startswith(MAY_FIND_TRIALS_INVALID):
            assert "report.html" in printed, printed
        else:
            assert code == "0", f"{one.line}\n{printed}"
            assert not missing(one.shown, printed.splitlines()), f"{one.line}\n{printed}"


def test_the_tutorial_has_commands_and_files_to_type() -> None:
    assert set(files()) == {"shop.yaml", "same_shop.py"}
    commands = " ".join(one.line for one in typed())
    for name in ("doctor", "up", "exec", "load", "rules", "trace", "fault", "check", "run", "down"):
        assert f"testbed {name}" in commands
