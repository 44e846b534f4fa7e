"""Intervals and tests over trials. The unit of inference is the trial: one number each.

Requests inside a trial are not independent; pooling them gives intervals that are far too narrow.
The two exceptions that are allowed (`wilson`, and chi-square in `analysis.balance`) say so.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Scale = Literal["linear", "log"]

FEWEST_FOR_INTERVAL = 5
FEWEST_FOR_BOOTSTRAP = 20
RESAMPLES = 9_999


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate over `n` trials; `low` and `high` are None below five trials.

    `method` says what the estimate is (mean, geometric mean or median) and how the interval was
    made.
    """

    n: int
    estimate: float
    low: float | None
    high: float | None
    method: str
    censored: int = 0
    """How many of the `n` never reached the phase."""


def over_trials(
    values: ArrayLike,
    *,
    scale: Scale = "linear",
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of one number per trial and its interval: Student t below 20 trials, BCa from 20.

    With `scale="log"` (times) it is the geometric mean; a value of zero or less has no logarithm,
    and then the scale is linear. Values that are not a number are not trials: filter or censor them
    first.
    """
    data = np.asarray(values, dtype=float)
    logarithmic = scale == "log" and data.size > 0 and bool((data > 0).all())
    name = "geometric mean" if logarithmic else "mean"
    if data.size == 0:
        return Interval(0, math.nan, None, None, name)
    work = np.log(data) if logarithmic else data
    back = math.exp if logarithmic else float
    centre = float(work.mean())
    low, high, how = _limits(work, centre, confidence, seed)
    return Interval(
        n=int(data.size),
        estimate=back(centre),
        low=None if low is None else back(low),
        high=None if high is None else back(high),
        method=f"{name}, {how}",
    )


def in_words(interval: Interval, form: str, floor: float = -math.inf) -> str:
    """A 95 % interval as it stands in a sentence, its ends by this format, the lower one at least `floor`."""
    if interval.low is None or interval.high is None:
        return "too few trials for an interval"
    return f"95 % interval {max(floor, interval.low):{form}} to {interval.high:{form}}"


def _limits(
    work: NDArray[np.float64], centre: float, confidence: float, seed: int
) -> tuple[float | None, float | None, str]:
    n = work.size
    if n < FEWEST_FOR_INTERVAL:
        return None, None, f"no interval below {FEWEST_FOR_INTERVAL} trials"
    spread = float(work.std(ddof=1))
    if n < FEWEST_FOR_BOOTSTRAP or math.isclose(spread, 0.0, abs_tol=1e-12):
        half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * spread / math.sqrt(n)
        return centre - half, centre + half, "Student t"
    found = stats.bootstrap(
        (work,),
        np.mean,
        confidence_level=_expanded(confidence, n),
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high), "BCa bootstrap"


def _expanded(confidence: float, n: int) -> float:
    """The level at which a bootstrap of `n` values covers as often as `confidence` says.

    Resamples scatter as if the spread of the `n` values were the true one; at 20 that covers some 92.5
    instead of 95 %. Widened as t is against the normal distribution (Hesterberg 2015, expanded
    percentile interval).
    """
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1) * math.sqrt(n / (n - 1))
    return float(2 * stats.norm.cdf(quantile) - 1)


def of_times(values: ArrayLike, censored: ArrayLike, *, seed: int = 0) -> Interval:
    """The typical time over trials: geometric mean where every trial got there, else the median.

    A trial that never got there has no time to average, but it still counts.
    """
    if np.asarray(censored, dtype=bool).any():
        return median_censored(values, censored)
    return over_trials(values, scale="log", seed=seed)


def median_censored(
    values: ArrayLike, censored: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """The Kaplan-Meier median of times of which some were never reached within what was observed.

    A censored value is the time up to which it was watched. The median is `inf` where more than
    half were never reached; its limits (Brookmeyer and Crowley 1982) may be `inf` too.
    """
    times = np.asarray(values, dtype=float)
    lost = np.asarray(censored, dtype=bool)
    n, missing = int(times.size), int(lost.sum())
    method = "Kaplan-Meier median"
    if n == 0:
        return Interval(0, math.nan, None, None, method)
    if missing == n:
        return Interval(n, math.inf, None, None, method, missing)
    survival = stats.ecdf(stats.CensoredData.right_censored(times, lost)).sf
    estimate = _crossing(survival.quantiles, survival.probabilities)
    if n < FEWEST_FOR_INTERVAL:
        return Interval(n, estimate, None, None, method, missing)
    with warnings.catch_warnings():
        # Where nobody or everybody got there yet, the limits are undefined: see below.
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = survival.confidence_interval(confidence_level=confidence, method="log-log")
    low, high = (
        _crossing(
            side.quantiles,
            np.where(np.isnan(side.probabilities), survival.probabilities, side.probabilities),
        )
        for side in (limits.low, limits.high)
    )
    return Interval(n, estimate, low, high, method, missing)


def _crossing(times: NDArray[np.float64], survival: NDArray[np.float64]) -> float:
    """The first time at which survival is one half or less."""
    below = np.flatnonzero(survival <= 0.5 + 1e-12)
    return float(times[below[0]]) if below.size else math.inf


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion; only over independent connections of a memoryless mode."""
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family of confirmatory tests (Holm 1979), in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995)."""
    if not p_values:
        return []
    return [float(value) for value in stats.false_discovery_control(p_values, method="bh")]
