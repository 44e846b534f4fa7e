"""Verdicts on simulated trials: how often are they wrong, and do they decide when they can?"""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.equivalence import (
    Equivalence,
    against_limit,
    decided,
    decided_on_limit,
    equivalence,
)


def one(mean: float, spread: float, n: int, rng: np.random.Generator) -> str:
    return decided([equivalence(rng.normal(mean, spread, n), 0.0, 1.0)]).verdict


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (0.0, 0.2, "holds"),
        (3.0, 0.2, "does not hold"),
        (0.0, 5.0, "undecided"),
        (1.0, 0.2, "undecided"),
    ],
)
def test_a_clear_case_is_decided_and_an_unclear_one_is_not(
    mean: float, spread: float, expected: str
) -> None:
    rng = np.random.default_rng(1)
    found = [one(mean, spread, 10, rng) for _ in range(200)]
    assert found.count(expected) >= 180


@pytest.mark.parametrize("n", [5, 10, 20])
def test_at_the_very_margin_holds_is_said_wrongly_one_time_in_twenty(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [one(1.0, 0.3, n, rng) for _ in range(2000)]
    assert found.count("holds") / 2000 == pytest.approx(0.05, abs=0.015)
    assert found.count("does not hold") / 2000 <= 0.04


def test_below_five_trials_nothing_is_decided() -> None:
    found = equivalence([0.0, 0.0, 0.0, 0.0], 0.0, 1.0)
    assert (found.low, found.p_inside, found.p_outside) == (None, 1.0, 1.0)


def test_trials_without_any_spread_are_decided_by_where_they_are() -> None:
    assert decided([equivalence([0.5] * 5, 0.0, 1.0)]).verdict == "holds"
    assert decided([equivalence([1.5] * 5, 0.0, 1.0)]).verdict == "does not hold"
    assert decided([equivalence([1.0] * 5, 0.0, 1.0)]).verdict == "undecided"


INSIDE = Equivalence(10, 0.0, -0.1, 0.1, 0.001, 1.0)
OUTSIDE = Equivalence(10, 5.0, 4.9, 5.1, 1.0, 0.001)
UNCLEAR = Equivalence(10, 0.9, 0.1, 1.7, 0.4, 0.9)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ([INSIDE, INSIDE], "holds"),
        ([INSIDE, UNCLEAR], "undecided"),
        ([INSIDE, OUTSIDE], "does not hold"),
        ([], "undecided"),
    ],
)
def test_a_family_holds_only_if_each_of_it_does(family: list[Equivalence], expected: str) -> None:
    assert decided(family).verdict == expected


def test_the_p_value_is_that_of_the_verdict() -> None:
    assert decided([INSIDE]).p_value == INSIDE.p_inside
    assert decided([OUTSIDE]).p_value == OUTSIDE.p_outside
    assert decided([UNCLEAR]).p_value == UNCLEAR.p_inside
    assert decided([INSIDE, OUTSIDE]).p_value == pytest.approx(2 * OUTSIDE.p_outside)


@pytest.mark.parametrize(
    ("typical", "expected"), [(0.5, "holds"), (2.0, "does not hold"), (1.0, "undecided")]
)
def test_times_are_judged_against_a_limit(typical: float, expected: str) -> None:
    rng = np.random.default_rng(4)
    times = typical * rng.lognormal(0, 0.2, 10) / np.exp(0)
    times = times / np.exp(np.log(times).mean()) * typical
    assert decided_on_limit(against_limit(times, [False] * 10, 1.0)).verdict == expected


def test_at_the_very_limit_the_error_is_one_in_twenty() -> None:
    rng = np.random.default_rng(6)
    wrong = [
        decided_on_limit(against_limit(rng.lognormal(0, 0.5, 8), [False] * 8, 1.0)).verdict
        for _ in range(2000)
    ]
    assert wrong.count("holds") / 2000 == pytest.approx(0.05, abs=0.015)
    assert wrong.count("does not hold") / 2000 == pytest.approx(0.05, abs=0.015)


def test_trials_that_never_got_there_speak_against_the_limit() -> None:
    mostly = against_limit([9.0] * 7 + [0.1] * 1, [True] * 7 + [False], 1.0)
    assert mostly.p_above <= 0.05
    assert mostly.p_below > 0.5


def test_a_trial_not_watched_up_to_the_limit_counts_for_neither_side() -> None:
    unknown = against_limit([0.5] * 8, [True] * 8, 1.0)
    assert (unknown.p_below, unknown.p_above) == (1.0, 1.0)


def test_below_five_trials_no_limit_is_judged() -> None:
    assert against_limit([0.1] * 4, [False] * 4, 1.0).p_below == 1.0
