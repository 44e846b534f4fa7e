"""Figures of counts and of sequences, against values known by hand or in the limit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from testbed.analysis import bands
from testbed.traffic import evenness


@pytest.mark.parametrize(
    ("counts", "cv", "jain", "max_over_mean"),
    [
        ([10, 10, 10], 0.0, 1.0, 1.0),
        ([30, 0, 0], math.sqrt(2), 1 / 3, 3.0),
        ([20, 10], 1 / 3, 0.9, 4 / 3),
    ],
)
def test_figures_of_counts(counts: list[int], cv: float, jain: float, max_over_mean: float) -> None:
    values = np.array(counts)
    assert evenness.coefficient_of_variation(values) == pytest.approx(cv)
    assert evenness.jain_index(values) == pytest.approx(jain)
    assert evenness.max_over_mean(values) == pytest.approx(max_over_mean)


def test_no_picks_have_no_figures() -> None:
    nothing = np.zeros(3, dtype=np.int64)
    assert math.isnan(evenness.coefficient_of_variation(nothing))
    assert math.isnan(evenness.jain_index(nothing))
    assert math.isnan(evenness.chi_square_p(nothing))


def test_transitions_are_counted_within_each_sequence_only() -> None:
    found = evenness.transition_counts([np.array([0, 1, 0]), np.array([1, 1])], 2)
    assert found.tolist() == [[0, 1], [1, 1]]


def test_round_robin_has_no_entropy_and_random_has_all_of_it() -> None:
    turns = evenness.transition_counts([np.arange(600) % 3], 3)
    drawn = evenness.transition_counts([np.random.default_rng(1).integers(3, size=60_000)], 3)
    assert evenness.next_pick_entropy_bits(turns) == 0
    assert evenness.next_pick_entropy_bits(drawn) == pytest.approx(math.log2(3), abs=1e-3)


def test_the_miller_madow_correction_takes_the_bias_away() -> None:
    rng = np.random.default_rng(2)
    matrices = [evenness.transition_counts([rng.integers(5, size=400)], 5) for _ in range(400)]
    corrected = np.mean([evenness.next_pick_entropy_bits(matrix) for matrix in matrices])
    plain = np.mean(
        [
            -sum(
                value / matrix.sum() * math.log2(value / row.sum())
                for row in matrix
                for value in row
                if value
            )
            for matrix in matrices
        ]
    )
    truth = math.log2(5)
    assert abs(corrected - truth) < abs(plain - truth) / 5


def test_below_300_picks_no_entropy_is_given() -> None:
    short = evenness.transition_counts([np.arange(299) % 3], 3)
    assert math.isnan(evenness.next_pick_entropy_bits(short))


def test_a_fair_random_balancer_shows_cv_0_26_after_30_picks_over_3() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(30, [1 / 3] * 3, size=5000)
    squares = [evenness.coefficient_of_variation(counts) ** 2 for counts in drawn]
    typical = math.sqrt(np.mean(squares))
    band = bands.ideal_random([30], 3, seed=1)["cv"]
    assert typical == pytest.approx(0.26, abs=0.005)
    assert band.low < typical < band.high


def test_19_of_20_random_shares_are_in_their_band() -> None:
    band = bands.random_share(3000, 3)
    shares = np.random.default_rng(4).binomial(3000, 1 / 3, size=4000) / 3000
    inside = np.mean((shares >= band.low) & (shares <= band.high))
    assert inside == pytest.approx(0.95, abs=0.015)


def test_the_share_of_a_round_robin_is_known_to_one_pick_per_node() -> None:
    assert bands.round_robin_share([10, 10], 3) == bands.Band(6 / 20, 8 / 20)
    assert bands.round_robin_share([9], 3) == bands.Band(1 / 3, 1 / 3)


def test_bands_of_the_two_ideals_do_not_overlap_in_entropy() -> None:
    random = bands.ideal_random([500, 500], 3, seed=1)["entropy_bits"]
    turns = bands.ideal_round_robin([500, 500], 3, seed=1)["entropy_bits"]
    assert turns.high < random.low


def test_bands_repeat_with_their_seed() -> None:
    assert bands.ideal_random([50], 3, seed=1) == bands.ideal_random([50], 3, seed=1)
    assert bands.ideal_random([50], 3, seed=1) != bands.ideal_random([50], 3, seed=2)


def test_nothing_picked_has_no_band() -> None:
    assert math.isnan(bands.random_share(0, 3).low)
    assert math.isnan(bands.round_robin_share([], 3).low)


@pytest.mark.parametrize("metric", bands.METRICS)
def test_bands_of_many_picks_join_those_that_are_simulated_one_by_one(metric: str) -> None:
    few = bands.ideal_random([bands.ONE_BY_ONE] * 2, 4, seed=1)[metric]
    many = bands.ideal_random([bands.ONE_BY_ONE + 1] * 2, 4, seed=1)[metric]
    tolerance = 0.2 * (few.high - few.low)
    assert many.low == pytest.approx(few.low, abs=tolerance)
    assert many.high == pytest.approx(few.high, abs=tolerance)
