"""How even picks are: figures of counts and of sequences, nothing but arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

FEWEST_FOR_ENTROPY = 300
"""Below this many picks even the corrected entropy is biased: none is given."""


def coefficient_of_variation(counts: Counts) -> float:
    """Standard deviation over mean of the backends' counts; 0 is perfectly even."""
    mean = float(counts.mean())
    return float(counts.std()) / mean if mean else math.nan


def jain_index(counts: Counts) -> float:
    """Jain, Chiu and Hawe 1984: 1 is perfectly even, 1/k is everything to one of k."""
    squares = float((counts.astype(float) ** 2).sum())
    return float(counts.sum()) ** 2 / (counts.size * squares) if squares else math.nan


def max_over_mean(counts: Counts) -> float:
    """The busiest backend's load over the mean load."""
    mean = float(counts.mean())
    return float(counts.max()) / mean if mean else math.nan


def chi_square_p(counts: Counts) -> float:
    """p of equal shares; only for independent connections of a memoryless mode."""
    if counts.sum() == 0 or counts.size < 2:
        return math.nan
    from scipy import stats

    return float(stats.chisquare(counts).pvalue)


def transition_counts(sequences: Sequence[Counts], backends: int) -> Counts:
    """How often pick j followed pick i: a matrix of counts, row i, column j."""
    total = np.zeros((backends, backends), dtype=np.int64)
    for sequence in sequences:
        codes = sequence[:-1] * backends + sequence[1:]
        total += np.bincount(codes, minlength=backends**2).reshape(backends, backends)
    return total


def next_pick_entropy_bits(transitions: Counts) -> float:
    """Conditional entropy of the next pick given the last one, Miller-Madow corrected, in bits.

    log2(k) when the next pick cannot be guessed, 0 for round robin. Not a number below 300 picks.
    """
    total = int(transitions.sum())
    if total < FEWEST_FOR_ENTROPY:
        return math.nan
    rows = transitions.sum(axis=1)
    shares = transitions[rows > 0] / rows[rows > 0][:, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    plain = float(((rows[rows > 0] / total) * -(shares * logs).sum(axis=1)).sum())
    # Miller and Madow: (m - 1) / 2n for each row's m observed outcomes; the rows' weights n/N make
    # the sum (m - 1) / 2N.
    outcomes = (transitions[rows > 0] > 0).sum(axis=1)
    corrected = plain + float((outcomes - 1).sum()) / (2 * total)
    return corrected / math.log(2)
