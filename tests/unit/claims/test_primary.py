"""What `--plan` and `--until` look at."""

from __future__ import annotations

import pytest

from testbed.claims.primary import BUSY, RANDOM, THIRD, pilots, primaries
from tests.unit.claims.test_findings import run_of
from tests.unit.claims.test_picking import fair, trials


def test_a_number_per_trial_of_each_share_of_the_entropy_and_of_the_busy_pod() -> None:
    (trial,) = trials(fair, 1)
    seen = {THIRD: trial[THIRD], RANDOM: trial[RANDOM], BUSY: {"slow_share": 0.3, "picks": 270}}
    found = primaries(run_of({"nftables": {name: dict(one) for name, one in seen.items()}}))
    assert {(one.factors["proxy"], one.name, one.detail) for one in found} == {
        ("nftables", RANDOM, ""),
        ("nftables", BUSY, ""),
        *(("nftables", THIRD, f"backend {number}") for number in range(3)),
    }
    shares = [one.values[0] for one in found if one.name == THIRD]
    assert sum(shares) == pytest.approx(1.0)


def test_only_what_is_chosen_is_expected() -> None:
    assert [pilot.name for pilot in pilots([THIRD, BUSY], 1.0)] == [THIRD, BUSY]
    assert pilots(["flat-network"], 1.0) == ()


def test_longer_trials_spread_less() -> None:
    (short,), (long,) = pilots([THIRD], 1.0), pilots([THIRD], 4.0)
    assert long.spread == pytest.approx(short.spread / 2)
