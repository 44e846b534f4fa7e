"""What ideal balancers would show at the same number of picks: 95 % bands to draw beside data.

Every client node balances on its own, so a band is made for the picks of each node, not their sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from testbed.traffic import evenness

SIMULATIONS = 1_000
METRICS = ("cv", "jain", "max_over_mean", "entropy_bits")


@dataclass(frozen=True, slots=True)
class Band:
    """The central 95 % of a figure; `low` equals `high` where it is not random."""

    low: float
    high: float


def random_share(picks: int, backends: int) -> Band:
    """Share of one backend under ideal random: exact, from the binomial distribution."""
    if picks == 0 or backends == 0:
        return Band(math.nan, math.nan)
    low, high = stats.binom.ppf((0.025, 0.975), picks, 1 / backends) / picks
    return Band(float(low), float(high))


def round_robin_share(picks_per_node: Sequence[int], backends: int) -> Band:
    """Share of one backend under ideal round robin on each node, whatever backend each began
    with.
    """
    total = sum(picks_per_node)
    if total == 0 or backends == 0:
        return Band(math.nan, math.nan)
    low = sum(picks // backends for picks in picks_per_node)
    high = sum(-(-picks // backends) for picks in picks_per_node)
    return Band(low / total, high / total)


def ideal_random(picks_per_node: Sequence[int], backends: int, seed: int) -> dict[str, Band]:
    """Bands of `METRICS` when every pick is independent and uniform: simulated."""
    return dict(_simulated("random", tuple(picks_per_node), backends, seed))


def ideal_round_robin(picks_per_node: Sequence[int], backends: int, seed: int) -> dict[str, Band]:
    """Bands of `METRICS` when every node takes backends in turn from a random one on: simulated."""
    return dict(_simulated("round robin", tuple(picks_per_node), backends, seed))


ONE_BY_ONE = 2_000
"""Picks of a node that are simulated one by one. Beyond, counts are drawn at once: of a long sequence
the picks after each backend are as good as independent (Whittle 1955), however many there are."""

Drawn = tuple[evenness.Counts, evenness.Counts]
"""One node's picks: how many of each backend, and which followed which."""


def _random(picks: int, backends: int, rng: np.random.Generator) -> Drawn:
    fair = np.full(backends, 1 / backends)
    if picks > ONE_BY_ONE:
        counts = rng.multinomial(picks, fair)
        return counts, np.array([rng.multinomial(count, fair) for count in counts])
    sequence = rng.integers(backends, size=picks, dtype=np.int64)
    return (
        np.bincount(sequence, minlength=backends),
        evenness.transition_counts([sequence], backends),
    )


def _in_turn(picks: int, backends: int, rng: np.random.Generator) -> Drawn:
    first = int(rng.integers(backends))
    places = np.arange(backends)
    counts = picks // backends + ((places - first) % backends < picks % backends)
    followed = counts - (places == (first + picks - 1) % backends) if picks else counts
    transitions = np.zeros((backends, backends), dtype=np.int64)
    transitions[places, (places + 1) % backends] = followed
    return counts.astype(np.int64), transitions


_BALANCERS: dict[str, Callable[[int, int, np.random.Generator], Drawn]] = {
    "random": _random,
    "round robin": _in_turn,
}


@cache
def _simulated(
    balancer: str, picks: tuple[int, ...], backends: int, seed: int
) -> tuple[tuple[str, Band], ...]:
    rng = np.random.default_rng(seed)
    draw = _BALANCERS[balancer]
    rows = np.array([_figures([draw(n, backends, rng) for n in picks]) for _ in range(SIMULATIONS)])
    low, high = np.quantile(rows, (0.025, 0.975), axis=0)
    bands = (Band(float(a), float(b)) for a, b in zip(low, high, strict=True))
    return tuple(zip(METRICS, bands, strict=True))


def _figures(nodes: Sequence[Drawn]) -> tuple[float, ...]:
    """The figures of one simulated trial, in the order of `METRICS`."""
    counts = np.sum([node[0] for node in nodes], axis=0)
    return (
        evenness.coefficient_of_variation(counts),
        evenness.jain_index(counts),
        evenness.max_over_mean(counts),
        evenness.next_pick_entropy_bits(np.sum([node[1] for node in nodes], axis=0)),
    )
