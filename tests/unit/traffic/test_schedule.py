"""Arrival times: their number, their order, and their law."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from testbed.traffic.schedule import arrivals_ns


@pytest.mark.parametrize(
    ("rate_rps", "duration_s", "count"), [(100, 0.3, 30), (10, 10, 100), (3, 0.1, 1), (7, 1, 7)]
)
def test_constant(rate_rps: float, duration_s: float, count: int) -> None:
    times = arrivals_ns(random.Random(1), "constant", rate_rps, duration_s)
    assert len(times) == count
    assert times[0] == 0
    assert np.abs(np.diff(times) - 1e9 / rate_rps).max(initial=0) <= 1


def test_poisson_gaps_are_exponential_and_counts_poisson() -> None:
    times = arrivals_ns(random.Random(1), "poisson", 200.0, 60.0)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 60e9
    gaps_s = np.diff(times) / 1e9
    assert stats.kstest(gaps_s, stats.expon(scale=1 / 200).cdf).pvalue > 0.01
    counts = np.bincount((np.array(times) // 1_000_000_000).astype(int), minlength=60)
    assert 0.6 < counts.var() / counts.mean() < 1.6  # 1 for Poisson, 0 for a constant rate


def test_the_seed_decides() -> None:
    def times(seed: int) -> list[int]:
        return arrivals_ns(random.Random(seed), "poisson", 50.0, 1.0)

    assert times(1) == times(1) != times(2)
