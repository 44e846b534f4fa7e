"""Intervals against simulated data whose truth is known: how often do they cover it?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from testbed.analysis.intervals import (
    Interval,
    benjamini_hochberg,
    holm,
    in_words,
    median_censored,
    of_times,
    over_trials,
    wilson,
)


def coverage(intervals: list[Interval], truth: float) -> float:
    """The share of intervals that hold the truth."""
    return float(
        np.mean(
            [
                found.low is not None
                and found.high is not None
                and found.low <= truth <= found.high
                for found in intervals
            ]
        )
    )


@pytest.mark.parametrize("n", [5, 10])
def test_student_t_covers_the_mean_of_normal_trials(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [over_trials(rng.normal(10, 3, n)) for _ in range(2000)]
    assert coverage(found, 10) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("n", [5, 10])
def test_on_the_log_scale_it_covers_the_median_of_skewed_times(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [over_trials(rng.lognormal(3, 1, n), scale="log") for _ in range(2000)]
    assert coverage(found, math.exp(3)) == pytest.approx(0.95, abs=0.02)


def test_without_the_log_skewed_times_are_covered_too_rarely() -> None:
    rng = np.random.default_rng(0)
    found = [over_trials(rng.lognormal(3, 1, 5)) for _ in range(2000)]
    assert coverage(found, math.exp(3.5)) < 0.90


def test_the_bootstrap_covers_the_mean_of_twenty_skewed_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testbed.analysis.intervals.RESAMPLES", 599)
    rng = np.random.default_rng(20)
    found = [over_trials(rng.gamma(4, 1, 20), seed=seed) for seed in range(400)]
    assert 0.89 <= coverage(found, 4) <= 0.97


def test_pooling_the_requests_of_clustered_trials_would_cover_far_too_rarely() -> None:
    """Why the trial is the unit: ten trials of 200 requests, trials differ more than requests."""
    rng = np.random.default_rng(1)
    by_trial, pooled = [], []
    for _ in range(500):
        requests = rng.normal(rng.normal(50, 2, 10)[:, None], 5, (10, 200))
        by_trial.append(over_trials(requests.mean(axis=1)))
        half = 1.96 * requests.std(ddof=1) / math.sqrt(requests.size)
        centre = float(requests.mean())
        pooled.append(Interval(requests.size, centre, centre - half, centre + half, "pooled"))
    assert coverage(by_trial, 50) == pytest.approx(0.95, abs=0.03)
    assert coverage(pooled, 50) < 0.5


@pytest.mark.parametrize("n", range(1, 5))
def test_below_five_trials_there_is_no_interval(n: int) -> None:
    found = over_trials(np.arange(n) + 1.0)
    assert (found.low, found.high, found.n) == (None, None, n)
    assert found.estimate == pytest.approx((n + 1) / 2)


def test_no_trials_have_no_estimate() -> None:
    assert math.isnan(over_trials([]).estimate)


def test_a_time_of_zero_has_no_logarithm_and_the_scale_is_linear() -> None:
    found = over_trials([0.0, 1, 2, 3, 4], scale="log")
    assert found.estimate == 2
    assert found.method == "mean, Student t"


def test_equal_trials_have_an_interval_of_no_width_at_any_n() -> None:
    for n in (5, 20, 30):
        found = over_trials([7.0] * n, scale="log")
        assert (found.low, found.high) == (pytest.approx(7), pytest.approx(7))


def test_the_bootstrap_repeats_with_its_seed() -> None:
    data = np.random.default_rng(5).gamma(2, 1, 25)
    assert over_trials(data, seed=1) == over_trials(data, seed=1)
    assert over_trials(data, seed=1) != over_trials(data, seed=2)


def test_a_censored_trial_counts_as_longer_than_it_was_watched() -> None:
    found = median_censored([1, 2, 3, 10, 10], [False, False, False, True, True])
    assert (found.estimate, found.censored, found.n) == (3, 2, 5)


def test_dropping_censored_trials_would_have_given_a_shorter_median() -> None:
    kept = median_censored([1, 2, 3, 10, 10], [False, False, False, True, True])
    assert kept.estimate > float(np.median([1, 2, 3]))


def test_when_most_are_censored_the_median_is_unknown_but_not_absent() -> None:
    assert median_censored([1, 10, 10], [False, True, True]).estimate == math.inf
    assert median_censored([10, 10], [True, True]).estimate == math.inf


def test_the_median_of_uncensored_times_is_the_plain_one() -> None:
    found = median_censored([5, 1, 4, 2, 3], [False] * 5)
    assert found.estimate == 3


def test_the_censored_median_is_covered() -> None:
    rng = np.random.default_rng(9)
    found = []
    for _ in range(400):
        times = rng.lognormal(1, 0.5, 20)
        found.append(median_censored(np.minimum(times, 4.0), times > 4.0))
    assert coverage(found, math.e) >= 0.92


def test_an_early_censored_trial_does_not_pull_the_limits_of_the_median() -> None:
    times = [0.1, 2, 3, 4, 5, 6]
    found = median_censored(times, [True] + [False] * 5)
    assert found.low is not None
    assert found.low >= 2
    assert found.high is not None
    assert found.high >= 5


def test_times_are_averaged_only_when_every_trial_got_there() -> None:
    assert of_times([1, 10, 100], [False] * 3).estimate == pytest.approx(10)
    assert of_times([1, 10, 100], [False, False, True]).method == "Kaplan-Meier median"


def test_wilson_agrees_with_a_textbook_value() -> None:
    low, high = wilson(10, 100)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 0) == (0, 1)


def test_holm_agrees_with_a_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_holm_keeps_the_family_wise_error() -> None:
    rng = np.random.default_rng(3)
    families = rng.uniform(size=(2000, 5))
    assert np.mean([min(holm(list(row))) <= 0.05 for row in families]) == pytest.approx(
        0.05, abs=0.015
    )


def test_benjamini_hochberg_is_between_nothing_and_holm() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    adjusted = benjamini_hochberg(p)
    assert all(a <= b <= c for a, b, c in zip(p, adjusted, holm(p), strict=True))
    assert benjamini_hochberg([]) == []


def test_the_method_says_what_the_estimate_is() -> None:
    data = stats.lognorm(1).rvs(25, random_state=1)
    assert over_trials(data, scale="log").method == "geometric mean, BCa bootstrap"
    assert over_trials(data[:4]).method == "mean, no interval below 5 trials"


@pytest.mark.parametrize(
    ("low", "high", "form", "floor", "words"),
    [
        (-0.0123, 0.05, "+.3f", -math.inf, "95 % interval -0.012 to +0.050"),
        (-0.0123, 0.05, ".1%", 0.0, "95 % interval 0.0% to 5.0%"),
        (None, None, ".1%", 0.0, "too few trials for an interval"),
    ],
)
def test_an_interval_in_words(
    low: float | None, high: float | None, form: str, floor: float, words: str
) -> None:
    assert in_words(Interval(9, 0.02, low, high, "mean"), form, floor) == words
