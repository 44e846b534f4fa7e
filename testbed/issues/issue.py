"""An issue that was reported, and what an attempt at it saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.claims.claim import Judgement, Observation, Scene
from testbed.issues.bugs import NONE

Judge = Callable[[Sequence[Observation], str], Judgement]
"""(an observation per trial, the kernel) -> the judgement: `holds` where it was reproduced. Pure."""


@dataclass(frozen=True, slots=True)
class Issue:
    """`number` is kubernetes/kubernetes'; `says` what was reported; `provoked` what a trial does; `unit` what
    counts as one attempt; `shown_if` when it counts as seen, fixed before the run.
    """

    name: str
    number: int
    says: str
    provoked: str
    unit: str
    shown_if: str
    scene: Scene
    judge: Judge
    bugs: tuple[str, ...] = (NONE,)
    """The switches under which it is attempted."""


def attempt(attempts: int, shown: int, example: str = "", **figures: Any) -> Observation:
    """What one trial saw: how often it was tried, how often the fault showed, and in words one of these."""
    return {"attempts": attempts, "shown": shown, "example": example, **figures}
