"""Verdicts on a terminal: by question and arm."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from testbed.cli.run import _emit_rows
from testbed.cli.verdicts import matrix

LONG = "A claim that takes so many words that a terminal has no room for them in a single line of its own."


def finding(name: str, arm: str, verdict: str, question: str = "") -> dict[str, Any]:
    return {"name": name, "arm": arm, "verdict": verdict, "question": question or f"Is {name} so?"}


TWO_BY_TWO = [
    finding("first", "", "does not hold"),
    finding("first", "nftables", "holds"),
    finding("first", "userspace", "does not hold"),
    finding("second", "nftables", "undecided", LONG),
]


def test_a_line_per_question_and_a_column_per_arm_the_whole_run_last() -> None:
    assert matrix(TWO_BY_TWO, 100).splitlines() == [
        "CLAIM                                                      nftables   userspace      all",
        "Is first so?                                               holds      does not hold  does not hold",
        "A claim that takes so many words that a terminal has no    undecided",
        "  room for them in a single line of its own.",
    ]


def test_a_narrow_terminal_gets_short_words_and_what_they_mean() -> None:
    lines = matrix(TWO_BY_TWO, 66).splitlines()
    assert lines[1].split()[-3:] == ["yes", "no", "no"]
    assert lines[-1] == "yes: holds; no: does not hold; ?: undecided"
    assert max(map(len, lines)) <= 66


def test_a_question_that_differs_between_arms_is_shown_by_its_name() -> None:
    shown = matrix([*TWO_BY_TWO, finding("second", "userspace", "holds", "Another question?")], 100)
    assert shown.splitlines()[-1].split()[0] == "second"


@pytest.mark.parametrize(
    "findings",
    [
        [],
        TWO_BY_TWO[:3],
        [TWO_BY_TWO[1], TWO_BY_TWO[3]],
        [*TWO_BY_TWO, finding("", "nftables", "holds", "Nameless?")],
    ],
    ids=["nothing", "one question", "one arm", "a question without a name"],
)
def test_what_is_no_matrix(findings: list[dict[str, Any]]) -> None:
    assert matrix(findings, 100) == ""


def test_what_does_not_fit() -> None:
    assert matrix(TWO_BY_TWO, 50) == ""


def test_rows_of_one_question_tell_their_arms(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        finding("", "affinity=ClientIP", "holds", "Does it?"),
        finding("", "", "undecided", "Does it?"),
    ]
    row = {"experiment": "mine", "directory": "", "trials": 10, "invalid": 0, "findings": findings}
    _emit_rows(Namespace(output="table"), [row])
    _, first, second = capsys.readouterr().out.splitlines()
    assert "affinity=ClientIP" in first
    assert "all" in second.split()
