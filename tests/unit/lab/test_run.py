"""Running a command: what its failure says."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.command import Command
from testbed.errors import CommandFailed, MissingFeature
from testbed.kernel.run import run


def test_output_and_input() -> None:
    assert run(Command(("cat",), "some rules\n")).stdout == "some rules\n"


def test_variables_are_added_to_the_environment() -> None:
    shown = run(Command(("sh", "-c", "echo $EXTRA $HOME")), {"EXTRA": "e", "HOME": "h"}).stdout
    assert shown == "e h\n"


def test_a_failure_carries_the_line_the_code_and_what_was_said() -> None:
    with pytest.raises(CommandFailed) as raised:
        run(Command(("sh", "-c", "echo no >&2; exit 4"), "secret input"))
    assert (raised.value.returncode, raised.value.stderr) == (4, "no\n")
    assert "secret input" not in str(raised.value)


def test_a_failure_may_be_wanted() -> None:
    assert run(Command(("false",)), check=False).returncode == 1


def test_a_tool_that_is_missing_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = Command(("iptables-nft-save", "-t", "nat"))
    with pytest.raises(MissingFeature) as raised:
        run(wanted)
    assert raised.value.message == "iptables-nft-save is not installed"
    assert raised.value.hint.startswith("apt-get install iptables;")
