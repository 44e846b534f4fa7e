"""Verdicts as a terminal shows them: a line per question, a column per arm."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

ALL = "all"
"""The column of what is said over all arms."""
WIDEST = 110
NARROWEST_TEXT = 40
SHORT = {"holds": "yes", "does not hold": "no", "undecided": "?"}
"""Where the words leave no room for the questions."""
_GAP = 2

Row = Mapping[str, Any]
"""A finding as `Finding.to_json` has it."""


def matrix(findings: Sequence[Row], width: int | None = None) -> str:
    """The verdicts by question and arm; "" where they make no two lines and two columns, or do not fit.

    A question that differs between arms is shown by its name. `width`: of the terminal.
    """
    width = min(WIDEST, width or shutil.get_terminal_size((WIDEST, 24)).columns)
    arms = _columns(findings)
    questions = _questions(findings)
    if len(arms) < 2 or len(questions) < 2:
        return ""
    cells = {(row["name"], row["arm"]): str(row["verdict"]) for row in findings}
    if not _room(cells, arms, width):
        cells = {key: SHORT[verdict] for key, verdict in cells.items()}
    room = _room(cells, arms, width)
    if not room:
        return ""
    head = "".join(_padded(arm or ALL, cells, arm) for arm in arms)
    lines = [f"{'CLAIM'.ljust(room)}{head}".rstrip()]
    for name, text in questions.items():
        first, *rest = textwrap.wrap(text, room - _GAP, subsequent_indent="  ")
        shown = "".join(_padded(cells.get((name, arm), ""), cells, arm) for arm in arms)
        lines += [f"{first.ljust(room)}{shown}".rstrip(), *rest]
    if not set(cells.values()).isdisjoint(SHORT.values()):
        lines.append("; ".join(f"{short}: {verdict}" for verdict, short in SHORT.items()))
    return "\n".join(lines)


Cells = Mapping[tuple[str, str], str]
"""By question and arm."""


def _room(cells: Cells, arms: Sequence[str], width: int) -> int:
    """Columns that are left for the questions; 0: too few."""
    room = width - sum(len(_padded("", cells, arm)) for arm in arms)
    return room if room >= NARROWEST_TEXT else 0


def _padded(text: str, cells: Cells, arm: str) -> str:
    """A text as wide as its column."""
    verdicts = [len(verdict) for (_, other), verdict in cells.items() if other == arm]
    return text.ljust(max(len(arm or ALL), *verdicts) + _GAP)


def _columns(findings: Sequence[Row]) -> list[str]:
    """The arms in their order; the one that is about all of them last."""
    arms = list(dict.fromkeys(row["arm"] for row in findings))
    return [arm for arm in arms if arm] + [arm for arm in arms if not arm]


def _questions(findings: Sequence[Row]) -> dict[str, str]:
    """What each name asks, in the order in which names first come."""
    asked: dict[str, set[str]] = {}
    for row in findings:
        asked.setdefault(row["name"], set()).add(row["question"])
    if "" in asked:
        return {}
    return {name: texts.pop() if len(texts) == 1 else name for name, texts in asked.items()}
