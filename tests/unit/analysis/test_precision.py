"""Runs that end when they know enough: their intervals must still hold the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from testbed.analysis.precision import PrimaryPrecision, half_width, interval
from testbed.experiment.primary import Primary, Scale
from testbed.experiment.until import FIRST_LOOK, goal_of

Draw = Callable[[np.random.Generator], float]


def nothing(run: Any) -> list[Primary]:
    return []


def of(*values: float, **more: Any) -> Primary:
    return Primary("m", {"arm": more.pop("arm", 1)}, values, **more)


def stopped(draw: Draw, goal: str, seed: int, scale: Scale = "linear") -> tuple[Primary, bool]:
    """A simulated run under `--until` with at most 40 blocks: its values, and whether it got there."""
    rng = np.random.default_rng(seed)
    precision = PrimaryPrecision(goal_of(goal), nothing)
    values: list[float] = []
    for block in range(40):
        values.append(draw(rng))
        precision.take([of(values[-1], scale=scale)])
        if block + 1 >= FIRST_LOOK and precision.look().reached:
            return of(*values, scale=scale), True
    return of(*values, scale=scale), False


def clustered(rng: np.random.Generator) -> float:
    """A trial's mean of requests that share the trial's own level."""
    return float(rng.normal(rng.normal(50, 6), 5, 50).mean())


@pytest.mark.parametrize(
    ("draw", "truth", "goal", "scale"),
    [
        (lambda rng: rng.normal(100, 12), 100, "ci=6%", "linear"),
        (clustered, 50, "ci=6%", "linear"),
        (lambda rng: rng.lognormal(3, 0.4), math.exp(3), "ci=20%", "log"),
        (lambda rng: rng.gamma(4, 1), 4, "ci=25%", "linear"),
        (lambda rng: rng.normal(1, 0.001), 1, "ci=5%", "linear"),
    ],
    ids=["normal", "clustered", "times", "skewed", "known at the first look"],
)
def test_the_interval_holds_the_truth_however_the_run_ended(
    draw: Draw, truth: float, goal: str, scale: Scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending when the interval is narrow favours runs whose spread was small by chance. From ten trials on
    that costs two points of the 95 at most.
    """
    monkeypatch.setattr("testbed.analysis.intervals.RESAMPLES", 299)
    runs = 150
    found = [stopped(draw, goal, seed, scale) for seed in range(runs)]
    intervals = [interval(one) for one, _ in found]
    held = [one.low <= truth <= one.high for one in intervals if one.low and one.high]
    assert len(held) == runs
    assert np.mean([reached for _, reached in found]) > 0.6
    assert np.mean(held) >= 0.93 - 2 * math.sqrt(0.95 * 0.05 / runs)


def test_from_ten_trials_on_two_points_are_lost_at_most_from_five_on_three() -> None:
    """Student's t, many runs at once; the goal is the one that costs most: half a standard deviation."""
    trials = np.random.default_rng(1).normal(size=(8000, 60))
    n = np.arange(1, 61)
    means = np.cumsum(trials, axis=1) / n
    variances = (np.cumsum(trials**2, axis=1) - n * means**2) / np.maximum(n - 1, 1)
    half = stats.t.ppf(0.975, np.maximum(n - 1, 1)) * np.sqrt(variances / n)

    def covers(first: int) -> float:
        ends = ((half <= 0.45) & (n >= first)).argmax(axis=1)
        at = np.arange(len(trials)), ends
        return float(np.mean(np.abs(means[at]) <= half[at]))

    assert covers(5) < 0.925
    assert covers(10) >= 0.93


def test_the_widest_metric_decides_and_is_named() -> None:
    precision = PrimaryPrecision(goal_of("ci=10%"), nothing)
    for block in range(6):
        precision.take(
            [of(100 + block % 2), of(100 + 60 * (block % 2), arm=2, detail="web-0 from n1")]
        )
    look = precision.look()
    assert (look.blocks, look.reached) == (6, False)
    assert look.said.startswith("m (arm=2, web-0 from n1) ±")


def test_below_five_blocks_nothing_is_known() -> None:
    precision = PrimaryPrecision(goal_of("ci=99%"), nothing)
    for _ in range(4):
        precision.take([of(7.0)])
    assert not precision.look().reached
    precision.take([of(7.0)])
    assert precision.look().reached


def test_a_percentage_is_of_the_level_where_there_is_one() -> None:
    difference = of(-1.0, 1.0, -1.0, 1.0, 0.0)
    half = (interval(difference).high or 0) - 0.0
    assert half_width(of(*difference.values, level=10.0), goal_of("ci=5%")) == pytest.approx(
        half / 10
    )
    assert half_width(difference, goal_of("ci=5%")) == math.inf


def test_times_are_compared_in_their_units() -> None:
    in_ms, in_s = of(90, 110, 90, 110, 100, unit="ms"), of(0.09, 0.11, 0.09, 0.11, 0.1, unit="s")
    goal = goal_of("ci=50ms")
    assert half_width(in_ms, goal) == pytest.approx(half_width(in_s, goal))


def test_what_was_not_reached_is_not_known() -> None:
    found = of(9, 9, 9, 9, 9, 9, unit="s", scale="log", censored=(True,) * 6)
    assert half_width(found, goal_of("ci=5%")) == math.inf


def test_a_goal_that_concerns_nothing_is_never_reached() -> None:
    precision = PrimaryPrecision(goal_of("ci=1s"), nothing)
    for _ in range(10):
        precision.take([of(1.0)])
    assert precision.look().said == "no primary metric to compare with ci=1s"
