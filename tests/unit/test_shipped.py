"""Topologies by name: one's own before those that come with the package, and a hint for neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.model import shipped


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_name_is_one_of_the_package() -> None:
    assert Path(shipped.found("quickstart")) == shipped.folder() / "quickstart.yaml"


def test_its_path_is_spelt_as_the_name() -> None:
    assert shipped.spelt(shipped.found("quickstart")) == "quickstart"
    assert shipped.spelt("topologies/quickstart.yaml") == "topologies/quickstart.yaml"


def test_ones_own_come_first() -> None:
    own = Path("topologies/quickstart.yaml")
    own.parent.mkdir()
    own.touch()
    assert shipped.found("quickstart") == str(own)
    Path("quickstart").touch()
    assert shipped.found("quickstart") == "quickstart"


@pytest.mark.parametrize("text", ["nowhere", "a/quickstart", "quickstart.yaml"])
def test_what_is_none_stays_as_it_was_typed(text: str) -> None:
    assert shipped.found(text) == text


@pytest.mark.parametrize(
    ("typed", "said"),
    [("quickstrat", "did you mean quickstart?"), ("zzz", ", quickstart, ")],
)
def test_a_name_that_is_none_is_helped(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", typed]) == 2
    assert said in capsys.readouterr().err


def test_commands_take_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "quickstart"]) == 0
    assert main(["graph", "two-apps", "-f", "mermaid"]) == 0
    assert "orders" in capsys.readouterr().out
