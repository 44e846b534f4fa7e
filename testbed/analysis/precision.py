"""How well a run that is under way knows its primary metrics: what `--until` looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from testbed.analysis.arms import label_of
from testbed.analysis.intervals import Interval, median_censored, over_trials
from testbed.analysis.run import Run, load_run
from testbed.experiment.primary import Primary
from testbed.experiment.until import SECONDS, Goal, Look

Key = tuple[str, str, tuple[tuple[str, object], ...]]


class PrimaryPrecision:
    """The primary metrics of the blocks so far, against a goal (`experiment.until.Precision`)."""

    def __init__(self, goal: Goal, primary: Callable[[Run], Iterable[Primary]]) -> None:
        self._goal = goal
        self._primary = primary
        self._blocks = 0
        self._known: dict[Key, Primary] = {}

    def add(self, block: Path) -> None:
        """Take in a folder that holds one block, as a run."""
        self.take(self._primary(load_run(block)))

    def take(self, primaries: Iterable[Primary]) -> None:
        """Take in the primary metrics of one block."""
        self._blocks += 1
        for one in primaries:
            key = (one.name, one.detail, tuple(sorted(one.factors.items())))
            held = self._known.get(key)
            self._known[key] = _padded(one) if held is None else _joined(held, _padded(one))

    def look(self) -> Look:
        """Reached: the half-width of every metric that the goal concerns is at most the goal's."""
        concerned = [one for one in self._known.values() if self._goal.concerns(one.unit)]
        if not concerned:
            return Look(self._blocks, False, f"no primary metric to compare with {self._goal.text}")
        widths = [(half_width(one, self._goal), one) for one in concerned]
        width, widest = max(widths, key=lambda pair: pair[0])
        varied = {
            name: value
            for name, value in widest.factors.items()
            if any(one.factors.get(name) != value for one in self._known.values())
        }
        where = ", ".join(part for part in (label_of(varied), widest.detail) if part)
        return Look(
            self._blocks,
            width <= self._goal.half_width,
            f"{widest.name}{f' ({where})' if where else ''} ±{_said(width, self._goal)}",
        )


def half_width(one: Primary, goal: Goal) -> float:
    """Half of a metric's 95 % interval, in the goal's terms; infinite where there is no interval."""
    found = interval(one)
    if found.low is None or found.high is None:
        return math.inf
    half = (found.high - found.low) / 2
    if goal.kind == "time":
        return half * SECONDS[one.unit]
    if goal.kind == "number":
        return half
    level = abs(found.estimate if one.level is None else one.level)
    return half / level if level > 0 else (math.inf if half > 0 else 0.0)


def interval(one: Primary) -> Interval:
    """Its interval over trials, as the report makes it."""
    if any(one.censored):
        return median_censored(one.values, one.censored)
    return over_trials(one.values, scale=one.scale)


def _padded(one: Primary) -> Primary:
    return one if one.censored else replace(one, censored=(False,) * len(one.values))


def _joined(held: Primary, more: Primary) -> Primary:
    # A block without a value has no level of its own.
    parts = [
        (part.level, len(part.values))
        for part in (held, more)
        if part.level is not None and math.isfinite(part.level) and part.values
    ]
    trials = sum(count for _, count in parts)
    return replace(
        held,
        values=(*held.values, *more.values),
        censored=(*held.censored, *more.censored),
        level=sum(level * count for level, count in parts) / trials if trials else held.level,
    )


def _said(width: float, goal: Goal) -> str:
    if goal.kind == "share":
        return f"{width:.1%}"
    return f"{width:.3g}" + (" s" if goal.kind == "time" else "")
