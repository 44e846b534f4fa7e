"""Verdicts: whether a figure is what was claimed, to within a margin named before the run.

"Holds" is an equivalence test, never "not significant, so it holds".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from testbed.analysis.intervals import FEWEST_FOR_INTERVAL, holm
from testbed.analysis.run import Verdict

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Equivalence:
    """One comparison of a mean over `n` trials with a target, to within a margin.

    `p_inside` tests against "the mean is outside the margin" (two one-sided t tests, the larger),
    `p_outside` against "the mean is within the margin". `low` and `high` are the 90 % interval that
    the two one-sided tests at 5 % amount to; None, and both p 1, below five trials.
    """

    n: int
    estimate: float
    low: float | None
    high: float | None
    p_inside: float
    p_outside: float


def equivalence(values: ArrayLike, target: float, margin: float) -> Equivalence:
    """Compare one number per trial with `target`, to within `margin` (both in the values' unit)."""
    data = np.asarray(values, dtype=float)
    n = int(data.size)
    estimate = float(data.mean()) if n else math.nan
    if n < FEWEST_FOR_INTERVAL:
        return Equivalence(n, estimate, None, None, 1.0, 1.0)
    error = float(data.std(ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(1 - ALPHA, n - 1)) * error
    above_lower = _tail(estimate - (target - margin), error, n)
    below_upper = _tail((target + margin) - estimate, error, n)
    return Equivalence(
        n=n,
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        p_inside=max(above_lower, below_upper),
        # Outside on one of two sides: the smaller tail, doubled (Bonferroni).
        p_outside=min(1.0, 2 * min(1 - above_lower, 1 - below_upper)),
    )


def _tail(distance: float, error: float, n: int) -> float:
    """p of the one-sided t test whose alternative is that the mean distance is above zero."""
    if error == 0.0:
        return 0.5 if distance == 0 else float(distance < 0)
    return float(stats.t.sf(distance / error, n - 1))


@dataclass(frozen=True, slots=True)
class LimitTest:
    """One typical time against a limit: p against "it is not below", and against "it is not
    above".
    """

    p_below: float
    p_above: float


def against_limit(times: ArrayLike, censored: ArrayLike, limit: float) -> LimitTest:
    """Whether times (one per trial, in the limit's unit) are typically below the limit.

    A t test on the log where every trial got there, else a sign test in which a censored trial is
    above the limit if it was watched that long and counts for neither side if it was not.
    Below five trials both p are 1.
    """
    data, lost = np.asarray(times, dtype=float), np.asarray(censored, dtype=bool)
    n = int(data.size)
    if n < FEWEST_FOR_INTERVAL:
        return LimitTest(1.0, 1.0)
    if lost.any() or (data <= 0).any():
        below, above = int((data[~lost] <= limit).sum()), int((data > limit).sum())
        return LimitTest(_sign_p(below, n), _sign_p(above, n))
    logs = np.log(data)
    error = float(logs.std(ddof=1)) / math.sqrt(n)
    distance = math.log(limit) - float(logs.mean())
    return LimitTest(_tail(distance, error, n), _tail(-distance, error, n))


def _sign_p(successes: int, n: int) -> float:
    return float(stats.binomtest(successes, n, 0.5, alternative="greater").pvalue)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the trials say of one claim, and the p-value of the test that says it.

    Undecided: the smaller of the two. `analysis.multiplicity` corrects it for how many claims a run
    tests; here it stands alone.
    """

    verdict: Verdict
    p_value: float


UNDECIDED = Decision("undecided", 1.0)
"""Where a test would not be fair, such as when what was left out might have decided otherwise."""


def decided(family: Sequence[Equivalence], alpha: float = ALPHA) -> Decision:
    """Whether every one of a claim's comparisons is within the margin.

    Holds: all are (an intersection-union test: within a family no correction, Berger 1982). Does
    not hold: at least one is outside (Holm within the family). Undecided: neither was shown.
    """
    if not family:
        return UNDECIDED
    inside = max(item.p_inside for item in family)
    return _decision(inside, min(holm([item.p_outside for item in family])), alpha)


def decided_on_limit(test: LimitTest, alpha: float = ALPHA) -> Decision:
    """Below its limit: holds; above: does not hold; neither shown: undecided."""
    return _decision(test.p_below, test.p_above, alpha)


def _decision(p_holds: float, p_fails: float, alpha: float) -> Decision:
    if p_holds <= min(p_fails, alpha):
        return Decision("holds", p_holds)
    return Decision("does not hold" if p_fails <= alpha else "undecided", min(p_holds, p_fails))
