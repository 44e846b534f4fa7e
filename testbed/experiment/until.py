"""`--until ci=5%`: a run that ends as soon as its primary metrics are known well enough. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.errors import UsageError
from testbed.experiment.design import PAPER, PAPER_REPEATS
from testbed.experiment.primary import Pilot
from testbed.units import duration_s

FIRST_LOOK = 10
"""Trials of each arm before the first look (MEASURING.md, Verdicts): with fewer, a spread that is small by
chance would end a run."""
MOST_BLOCKS = 100
"""Where `--repeat` does not say how many at most."""
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
"""Units of primary metrics that are times."""
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Goal:
    """Half the width of a 95 % interval: a share of the metric's level, seconds, or a pure number."""

    text: str
    half_width: float
    kind: str
    """`share`, `time` or `number`."""

    def concerns(self, unit: str) -> bool:
        """Whether a metric of that unit has to reach it."""
        if self.kind == "share":
            return True
        return (unit in SECONDS) if self.kind == "time" else not unit


def goal_of(text: str) -> Goal:
    """Of `ci=5%`, `ci=50ms` or `ci=0.01`. Raises UsageError."""
    name, _, value = text.partition("=")
    number = value.removesuffix("%")
    try:
        if name != "ci":
            raise ValueError
        if value.endswith("%"):
            goal = Goal(text, float(number) / 100, "share")
        elif _NUMBER.fullmatch(value):
            goal = Goal(text, float(value), "number")
        else:
            goal = Goal(text, duration_s(value), "time")
        if not 0 < goal.half_width < float("inf"):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--until {text}: write it as ci=5%, ci=50ms or ci=0.01",
            "half the width of each primary metric's 95 % interval",
        ) from None
    return goal


def require_met_by(goal: Goal, pilots: Sequence[Pilot], experiment: str) -> None:
    """Raises UsageError where no primary metric has the goal's unit: nothing would end the run."""
    if pilots and not any(goal.concerns(pilot.unit) for pilot in pilots):
        units = sorted({pilot.unit or "a number" for pilot in pilots})
        raise UsageError(
            f"--until {goal.text}: no primary metric of {experiment} is measured in that "
            f"(they are in {', '.join(units)})",
            "write it as a percentage: ci=5%",
        )


def first_look(profile: str) -> int:
    """How many blocks there must be before anybody looks."""
    return PAPER_REPEATS if profile == PAPER else FIRST_LOOK


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen after some block: `said` names the primary metric that is furthest from the goal."""

    blocks: int
    reached: bool
    said: str


class Precision(Protocol):
    """Keeps the primary metrics of the blocks so far."""

    def add(self, block: Path) -> None:
        """Take in a folder that holds one block, as a run."""

    def look(self) -> Look:
        """How well the metrics are known."""
