"""Findings as the page shows them: a card per question, and a matrix where arms share questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.analysis.run import Finding
from testbed.report.tables import Table, number

MARKS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}
"""The sign beside each verdict: it is told without colour too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One finding, at one place of the page (`id`)."""

    id: str
    finding: Finding

    @property
    def mark(self) -> str:
        return MARKS[self.finding.verdict]

    @property
    def look(self) -> str:
        """The verdict as a class of the style sheet."""
        return self.finding.verdict.replace(" ", "-")

    @property
    def p(self) -> str:
        """The p-value behind the verdict, corrected where it was; empty where there is none."""
        found = self.finding
        value = found.p_value if found.adjusted_p is None else found.adjusted_p
        if value is None:
            return ""
        text = "< 0.0001" if value < 1e-4 else f"= {value:.2g}"
        return f"p {text}" + (", corrected" if found.adjusted_p is not None else "")


@dataclass(frozen=True, slots=True)
class Question:
    """One question with the answers of every arm that was asked."""

    text: str
    hypothesis: str
    answers: tuple[Answer, ...]

    @property
    def verdict(self) -> str:
        """The verdict that all arms share; empty where they differ."""
        found = {answer.finding.verdict for answer in self.answers}
        return found.pop() if len(found) == 1 else ""

    @property
    def tally(self) -> str:
        return tally([answer.finding for answer in self.answers])

    @property
    def numbers(self) -> Table:
        """What the answers rest on: a row per figure, a column per arm."""
        names = list(
            dict.fromkeys(name for answer in self.answers for name in answer.finding.figures)
        )
        single = len(self.answers) == 1
        return Table(
            title=self.text,
            note=self.hypothesis,
            columns=(
                "figure",
                *("value" if single else answer.finding.arm or "all" for answer in self.answers),
            ),
            rows=tuple(
                (
                    name,
                    *(
                        number(answer.finding.figures[name])
                        if name in answer.finding.figures
                        else ""
                        for answer in self.answers
                    ),
                )
                for name in names
            ),
        )


@dataclass(frozen=True, slots=True)
class Matrix:
    """Verdicts at a glance: a row per name of findings, a column per arm; None: was not asked."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Answer | None, ...]], ...]


def questions(findings: Sequence[Finding], prefix: str = "") -> tuple[Question, ...]:
    """The findings by question, in the order in which each was first asked."""
    groups: dict[tuple[str, str], list[Answer]] = {}
    taken: Counter[str] = Counter()
    for finding in findings:
        stem = f"{prefix}answer-{slug(f'{finding.name or finding.question} {finding.arm}')}"
        taken[stem] += 1
        where = stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"
        groups.setdefault((finding.name, finding.question), []).append(Answer(where, finding))
    return tuple(
        Question(question, answers[0].finding.hypothesis, tuple(answers))
        for (_, question), answers in groups.items()
    )


def matrix(asked: Sequence[Question]) -> Matrix | None:
    """The matrix of all named findings; None where there are no two rows and two columns to it."""
    cells: dict[str, dict[str, Answer]] = {}
    texts: dict[str, set[str]] = {}
    for question in asked:
        for answer in question.answers:
            if answer.finding.name:
                cells.setdefault(answer.finding.name, {})[answer.finding.arm] = answer
                texts.setdefault(answer.finding.name, set()).add(question.text)
    columns = tuple(dict.fromkeys(arm for row in cells.values() for arm in row))
    if len(cells) < 2 or len(columns) < 2:
        return None
    return Matrix(
        tuple(arm or "all" for arm in columns),
        tuple(
            (
                texts[name].copy().pop() if len(texts[name]) == 1 else name.replace("-", " "),
                tuple(row.get(arm) for arm in columns),
            )
            for name, row in cells.items()
        ),
    )


def tally(findings: Sequence[Finding]) -> str:
    """`4 hold, 1 does not hold, 2 are undecided`: how many of each, none left out."""
    counts = Counter[str](finding.verdict for finding in findings)
    words = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "undecided": ("is undecided", "are undecided"),
    }
    return ", ".join(
        f"{counts[verdict]} {words[verdict][counts[verdict] != 1]}"
        for verdict in MARKS
        if counts[verdict]
    )


def slug(text: str) -> str:
    """The text as part of an id: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
