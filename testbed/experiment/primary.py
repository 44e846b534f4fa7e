"""The numbers that an experiment's verdicts are about: for power, before a run, and for `--until`, in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scale = Literal["linear", "log"]
Claim = Literal["within", "below"]
"""What the test is to show: that the mean is within a margin of its target, or below a limit."""


@dataclass(frozen=True, slots=True)
class Primary:
    """One primary metric of one arm: a number per trial (or block), as the experiment measured it.

    `primary(run)` of an experiment gives them; it is asked of single blocks too, so a value may depend
    on no other block. `detail` tells numbers of one name apart (of which node, of which backend).
    Values are in `unit`; with scale `log` their logarithms are tested. `level` is what a percentage is
    of; None: the estimate. `censored` says which values were not reached.
    """

    name: str
    factors: Mapping[str, Any]
    values: tuple[float, ...]
    unit: str = ""
    scale: Scale = "linear"
    detail: str = ""
    level: float | None = None
    censored: tuple[bool, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Pilot:
    """What an experiment expects of a primary metric in an arm before any run: `pilot(factors)`.

    `margin` is the difference that has to be shown, `spread` the standard deviation between trials;
    both in `unit`, or with scale `log` as differences of logarithms (0.1: about 10 %). `together`
    comparisons like it must all be shown for the claim to hold. `against` names the factor whose first
    value each other value is compared with, `over` the factor along whose values the number is fitted.
    `picks`: for a share, of how many connections in each trial.
    """

    name: str
    margin: float
    spread: float
    unit: str = ""
    scale: Scale = "linear"
    claim: Claim = "within"
    together: int = 1
    against: str = ""
    over: str = ""
    picks: int = 0
