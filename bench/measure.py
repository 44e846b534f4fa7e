"""One figure of the bench: two programs doing the same work, in turns, in one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Timed = Callable[[], float]
"""Does the work once and returns what was measured."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its name, what it is made of, a value per repeat."""

    name: str
    made_of: str
    """Processes and namespaces per pod, or what stands for them."""
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Goal:
    """What the ratio, or the value where there is no peer, has to be. `at_most` False: at least."""

    limit: float
    at_most: bool

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True, slots=True)
class Comparison:
    """`figure` is the ratio of medians (which way round, `quotient` says) or our own median."""

    what: str
    unit: str
    ours: Side
    peer: Side | None
    goal: Goal | None
    quotient: str = "ours / peer"
    """`ours / peer` or `peer / ours`."""
    note: str = ""

    @property
    def figure(self) -> float:
        if self.peer is None:
            return self.ours.median
        over, under = self.ours.median, self.peer.median
        if self.quotient != "ours / peer":
            over, under = under, over
        return over / under if under else math.inf

    @property
    def met(self) -> bool:
        return self.goal is None or self.goal.met(self.figure)

    def to_json(self) -> dict[str, object]:
        """The row as plain JSON values, every repeat in it."""
        sides = {"ours": self.ours, "peer": self.peer}
        return {
            "what": self.what,
            "unit": self.unit,
            "quotient": self.quotient if self.peer else None,
            "figure": self.figure,
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
            "note": self.note,
        } | {
            key: side and {"name": side.name, "made_of": side.made_of, "values": list(side.values)}
            for key, side in sides.items()
        }


def in_turns(ours: Timed, peer: Timed, repeats: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Values of both, measured alternately (ours, peer, peer, ours, …): a drift hits both alike."""
    ours_values: list[float] = []
    peer_values: list[float] = []
    for repeat in range(repeats):
        pair = [(ours, ours_values), (peer, peer_values)]
        for measure, values in pair if repeat % 2 == 0 else reversed(pair):
            values.append(measure())
    return tuple(ours_values), tuple(peer_values)


def markdown(rows: Sequence[Comparison]) -> str:
    """The rows as a table, with their notes and the make of both sides below it."""
    lines = [
        "| what | ours | peer | ratio | goal | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for number, row in enumerate(rows, 1):
        peer = f"{row.peer.median:.4g} {row.unit}" if row.peer else "-"
        ratio = f"{row.figure:.3g}" if row.peer else "-"
        goal = str(row.goal) if row.goal else "-"
        lines.append(
            f"| {row.what} [{number}] | {row.ours.median:.4g} {row.unit} | {peer} | {ratio} "
            f"| {goal} | {'yes' if row.met else '**no**'} |"
        )
    lines.append("")
    lines += [f"[{number}] {made_of(row)}" for number, row in enumerate(rows, 1)]
    return "\n".join(lines)


def made_of(row: Comparison) -> str:
    """What stood on both sides, how often it ran, and between which values it lay."""
    sides = [side for side in (row.ours, row.peer) if side]
    text = "; ".join(
        f"{side.name}: {side.made_of}, {len(side.values)} runs, "
        f"{min(side.values):.4g}-{max(side.values):.4g} {row.unit}"
        for side in sides
    )
    return f"{text}. {row.note}".strip()
