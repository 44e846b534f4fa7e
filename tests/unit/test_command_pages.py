"""Every command has examples and a page, and the page is what its code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from testbed.cli.examples import EXAMPLES
from testbed.cli.main import COMMANDS, main, parser_of
from testbed.cli.pages import pages

FOLDER = Path(__file__).parents[2] / "docs" / "commands"


def test_pages_are_fresh() -> None:
    stored = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert stored == pages(), "python -m testbed.cli.pages docs/commands"


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


LINES = [(name, line) for name, rows in EXAMPLES.items() for line, _ in rows]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_what_the_command_takes(name: str, line: str) -> None:
    (typed,) = re.findall(r"testbed [^|>)]*", line)  # the rest is the shell's
    words = shlex.split(typed)
    assert words[:2] == ["testbed", name]
    parser = parser_of(name)
    intermixed = any(action.nargs == "*" for action in parser._actions)
    (parser.parse_intermixed_args if intermixed else parser.parse_args)(words[2:])


def test_help_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "--until ci=5%" in capsys.readouterr().out
