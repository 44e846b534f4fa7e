"""Power against simulation and against figures that MEASURING.md names."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.equivalence import against_limit, decided, decided_on_limit, equivalence
from testbed.analysis.power import (
    connections_telling,
    connections_within,
    difference_shown,
    power,
    share_spread,
    trials_needed,
)


def test_one_point_of_a_third_needs_about_19_000_connections() -> None:
    assert connections_within(1 / 3, 0.01) == pytest.approx(19_000, rel=0.01)


def test_telling_34_percent_from_a_third_needs_about_40_000() -> None:
    assert connections_telling(1 / 3, 0.34) == pytest.approx(40_000, rel=0.03)


def test_trials_of_connections_agree_with_connections_in_all() -> None:
    spread = share_spread(1 / 3, 100)
    needed = trials_needed(0.01, spread)
    assert needed is not None
    assert needed * 100 == pytest.approx(connections_within(1 / 3, 0.01), rel=0.05)


@pytest.mark.parametrize(
    ("margin", "spread", "n"), [(1.0, 0.5, 5), (1.0, 1.0, 10), (1.0, 1.5, 20), (1.0, 3.0, 10)]
)
def test_an_equivalence_is_shown_as_often_as_was_said(margin: float, spread: float, n: int) -> None:
    rng = np.random.default_rng(n)
    runs = 1000
    shown = sum(
        decided([equivalence(rng.normal(0, spread, n), 0.0, margin)]).verdict == "holds"
        for _ in range(runs)
    )
    assert shown / runs == pytest.approx(power(margin, spread, n), abs=0.045)


@pytest.mark.parametrize(("margin", "spread", "n"), [(0.3, 0.5, 10), (0.3, 0.3, 5), (0.2, 0.5, 20)])
def test_a_time_below_its_limit_is_shown_as_often_as_was_said(
    margin: float, spread: float, n: int
) -> None:
    rng = np.random.default_rng(n)
    runs = 1000
    lost = np.zeros(n, dtype=bool)
    shown = sum(
        decided_on_limit(against_limit(rng.lognormal(-margin, spread, n), lost, 1.0)).verdict
        == "holds"
        for _ in range(runs)
    )
    assert shown / runs == pytest.approx(power(margin, spread, n, "below"), abs=0.045)


@pytest.mark.parametrize("claim", ["within", "below"])
def test_as_many_trials_as_needed_reach_the_power_and_one_less_does_not(claim: str) -> None:
    needed = trials_needed(0.5, 1.0, claim)  # type: ignore[arg-type]
    assert needed is not None
    assert power(0.5, 1.0, needed, claim) >= 0.8  # type: ignore[arg-type]
    assert power(0.5, 1.0, needed - 1, claim) < 0.8  # type: ignore[arg-type]


def test_what_so_many_trials_show_needs_so_many_trials() -> None:
    shown = difference_shown(2.0, 12)
    assert shown is not None
    assert trials_needed(shown, 2.0) == 12
    assert difference_shown(2.0, 4) is None


def test_the_extremes() -> None:
    assert trials_needed(1.0, 0.0) == 5
    assert trials_needed(1e-6, 1.0) is None
    assert power(1.0, 1.0, 4) == 0.0
    assert difference_shown(0.0, 10) == 0.0
