"""Intervals and verdicts on data as our trials make them: requests that depend on one another inside a trial,
skewed times; 5, 10 and 20 trials. The truth is known, so that errors can be counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import Interval, over_trials

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Values]
"""One number for each of so many trials, whose true mean is 0 and standard deviation about 1."""
RUNS = 300
TRIALS = (5, 10, 20)


def clustered(rng: np.random.Generator, n: int) -> Values:
    """Means of 40 requests around the level of their trial."""
    levels = rng.normal(0, 0.9, n)
    return np.asarray(rng.normal(levels[:, None], 2.0, (n, 40)).mean(axis=1))


def autocorrelated(rng: np.random.Generator, n: int) -> Values:
    """Means of 60 requests of which each resembles the one before."""
    shocks = rng.normal(0, 1, (n, 60))
    series = np.empty_like(shocks)
    series[:, 0] = shocks[:, 0] / math.sqrt(1 - 0.9**2)
    for at in range(1, 60):
        series[:, at] = 0.9 * series[:, at - 1] + shocks[:, at]
    return np.asarray(series.mean(axis=1))


def share(rng: np.random.Generator, n: int) -> Values:
    """Shares of one of three backends among 300 random picks, standardised."""
    return np.asarray((rng.binomial(300, 1 / 3, n) / 300 - 1 / 3) / math.sqrt(2 / 9 / 300))


MEANS = [clustered, autocorrelated, share]


@pytest.fixture(autouse=True)
def quick_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.analysis.intervals.RESAMPLES", 999)


def covered(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([(one.low or 0) <= truth <= (one.high or 0) for one in intervals]))


@pytest.mark.parametrize("n", TRIALS)
@pytest.mark.parametrize("draw", MEANS)
def test_intervals_over_trials_hold_the_truth(draw: Draw, n: int) -> None:
    rng = np.random.default_rng(n)
    found = [over_trials(10 + draw(rng, n)) for _ in range(RUNS)]
    assert 0.92 <= covered(found, 10) <= 0.975


@pytest.mark.parametrize("n", TRIALS)
def test_intervals_of_skewed_times_hold_the_typical_time(n: int) -> None:
    """Each trial's median of 40 skewed requests, whose level differs from trial to trial by a factor."""
    rng = np.random.default_rng(10 * n)
    found = [
        over_trials(
            np.median(rng.lognormal(rng.normal(3, 0.5, n)[:, None], 1.0, (n, 40)), axis=1),
            scale="log",
        )
        for _ in range(RUNS)
    ]
    assert 0.92 <= covered(found, math.exp(3)) <= 0.975


@pytest.mark.parametrize("n", TRIALS)
@pytest.mark.parametrize("draw", MEANS)
def test_a_mean_at_its_margin_is_rarely_said_to_be_within_or_beyond(draw: Draw, n: int) -> None:
    rng = np.random.default_rng(100 + n)
    margin = 3.0
    found = [
        decided([equivalence(margin + draw(rng, n), 0.0, margin)]).verdict for _ in range(RUNS)
    ]
    allowed = 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / RUNS)
    assert found.count("holds") / RUNS <= allowed
    assert found.count("does not hold") / RUNS <= allowed


@pytest.mark.parametrize(("truth", "verdict"), [(0.0, "holds"), (6.0, "does not hold")])
@pytest.mark.parametrize("draw", MEANS)
def test_a_clear_case_is_decided_by_ten_trials(draw: Draw, truth: float, verdict: str) -> None:
    rng = np.random.default_rng(7)
    margin = 2.5 * (2.5 if draw is autocorrelated else 1.0)
    found = [
        decided([equivalence(truth / 2.5 * margin + draw(rng, 10), 0.0, margin)]).verdict
        for _ in range(100)
    ]
    assert found.count(verdict) >= 95


@pytest.mark.parametrize("n", [5, 10])
def test_skewed_numbers_on_a_linear_scale_err_in_one_run_of_ten_at_most(n: int) -> None:
    """What the logarithm is for: where it cannot be taken, few trials of a skewed count claim too much."""
    rng = np.random.default_rng(n)
    values = rng.gamma(2, 1 / math.sqrt(2), (RUNS, n)) - math.sqrt(2)
    found = [decided([equivalence(3.0 + row, 0.0, 3.0)]).verdict for row in values]
    assert 0.05 < found.count("holds") / RUNS <= 0.13
