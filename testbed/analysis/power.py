"""Power: how many trials show a given difference, and what difference a given number of trials shows.

The tests are those of `analysis.equivalence`: two one-sided t tests against a margin, or one against a
limit. Everything is for the case in which the claim is true, on target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from testbed.analysis.intervals import FEWEST_FOR_INTERVAL
from testbed.experiment.primary import Claim

ALPHA = 0.05
POWER = 0.8
MOST_TRIALS = 100_000
"""Beyond, an experiment has to be made differently."""
_STEPS = 512


def power(
    margin: float, spread: float, n: int, claim: Claim = "within", alpha: float = ALPHA
) -> float:
    """Chance that `n` trials show the claim, whose mean is on target (`within`) or `margin` below its
    limit (`below`), with this standard deviation between trials.
    """
    if n < FEWEST_FOR_INTERVAL:
        return 0.0
    if spread <= 0:
        return float(margin > 0)
    effect = margin / spread * math.sqrt(n)
    if claim == "below":
        return float(stats.nct.sf(stats.t.ppf(1 - alpha, n - 1), n - 1, effect))
    # The mean is normal, given how far the standard deviation that was found is from the true one.
    room = effect - stats.t.ppf(1 - alpha, n - 1) * _found_spreads(n)
    return float(np.mean(np.where(room > 0, 2 * stats.norm.cdf(room) - 1, 0.0)))


@lru_cache(maxsize=4096)
def _found_spreads(n: int) -> NDArray[np.float64]:
    """Standard deviations that `n` trials show over the true one, at equally likely steps."""
    steps = (np.arange(_STEPS) + 0.5) / _STEPS
    return np.asarray(np.sqrt(stats.chi2.ppf(steps, n - 1) / (n - 1)))


def trials_needed(
    margin: float,
    spread: float,
    claim: Claim = "within",
    *,
    wanted: float = POWER,
    alpha: float = ALPHA,
) -> int | None:
    """The fewest trials whose chance of showing it is `wanted`; None where `MOST_TRIALS` are too few."""
    return _first(
        lambda n: power(margin, spread, n, claim, alpha) >= wanted, FEWEST_FOR_INTERVAL, MOST_TRIALS
    )


def _first(good: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number that is good, where all after it are good too."""
    reach = low
    while reach < high and not good(reach):
        low, reach = reach + 1, min(high, reach * 2)
    if not good(reach):
        return None
    while low < reach:
        middle = (low + reach) // 2
        low, reach = (low, middle) if good(middle) else (middle + 1, reach)
    return reach


def difference_shown(
    spread: float,
    n: int,
    claim: Claim = "within",
    *,
    wanted: float = POWER,
    alpha: float = ALPHA,
) -> float | None:
    """The smallest margin that `n` trials have a chance of `wanted` to show; None below five trials."""
    if n < FEWEST_FOR_INTERVAL:
        return None
    low, high = 0.0, spread
    while high and power(high, spread, n, claim, alpha) < wanted:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if power(middle, spread, n, claim, alpha) >= wanted else (middle, high)
        )
    return high


def share_spread(share: float, connections: float) -> float:
    """Standard deviation between trials of a share of independent picks."""
    return math.sqrt(share * (1 - share) / connections)


def connections_within(
    share: float, margin: float, *, wanted: float = POWER, alpha: float = ALPHA
) -> int:
    """Connections in all that show a share to be within `margin` of itself, picked at random: the two
    one-sided tests of a proportion.
    """
    z = stats.norm.ppf(1 - alpha) + stats.norm.ppf((1 + wanted) / 2)
    return math.ceil(float(share * (1 - share) * (z / margin) ** 2))


def connections_telling(
    share: float, other: float, *, wanted: float = POWER, alpha: float = ALPHA
) -> int:
    """Connections in all that tell a share from another one: the two-sided test of a proportion."""
    z_alpha, z_power = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(wanted)
    spread = z_alpha * math.sqrt(share * (1 - share)) + z_power * math.sqrt(other * (1 - other))
    return math.ceil(float((spread / (other - share)) ** 2))
