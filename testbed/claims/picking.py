"""Sequences of picks, one per client node: what is observed of them, and what it shows. Pure."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from testbed.analysis.equivalence import ALPHA, against_limit, decided_on_limit, equivalence
from testbed.analysis.intervals import FEWEST_FOR_INTERVAL
from testbed.claims import told as telling
from testbed.claims.claim import Judgement, Observation
from testbed.claims.judging import count, on_average, power, weighed
from testbed.traffic.evenness import (
    FEWEST_FOR_ENTROPY,
    coefficient_of_variation,
    next_pick_entropy_bits,
    transition_counts,
)

SHARE_MARGIN = 0.01
"""One percentage point (MEASURING.md, Verdicts)."""
ENTROPY_MARGIN = 0.05
"""Of the entropy of a fair draw."""
CYCLIC = 0.99
"""Share of picks that follow one order; userspace skips one where a node's clients change."""
EVEN_CV = 0.05
FOR_A_POINT = 19_000
"""Connections that one percentage point takes at 80 % power, drawn at random (MEASURING.md)."""


def observations(
    sequences: Mapping[str, Sequence[str]], names: Sequence[str]
) -> dict[str, Observation]:
    """What all claims about picks keep of a trial; `sequences` by the pod that called."""
    kept = told(sequences, names)
    return {
        "a-third-each": {"picks": kept["picks"], "shares": _shares(sequences, names)},
        "random-pick": kept,
        "round-robin": kept,
        "evens-out": {
            "picks": kept["picks"],
            "cv": coefficient_of_variation(_counts(sequences, names)),
        },
    }


def told(sequences: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, object]:
    """Picks, and for each node how often which backend followed which."""
    index = {name: number for number, name in enumerate(names)}
    transitions = {
        place: transition_counts(
            [np.asarray([index[name] for name in sequence], dtype=np.int64)], len(names)
        ).tolist()
        for place, sequence in sequences.items()
    }
    return {
        "picks": sum(map(len, sequences.values())),
        "transitions": transitions,
        "backends": list(names),
    }


def _counts(sequences: Mapping[str, Sequence[str]], names: Sequence[str]) -> np.ndarray:
    total = Counter(name for sequence in sequences.values() for name in sequence)
    return np.asarray([total[name] for name in names], dtype=np.int64)


def _shares(sequences: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[float]:
    counts = _counts(sequences, names)
    return [float(share) for share in counts / max(1, counts.sum())]


def coincided(sequences: Sequence[Sequence[str]]) -> bool:
    """Whether two of the sequences have the same backend at the same place."""
    return any(len(set(picks)) < len(picks) for picks in zip(*sequences, strict=False))


def next_differs(sequences: Mapping[str, Sequence[str]]) -> float:
    """How often the next pick for a client is another backend than its last one."""
    pairs = [
        (before, after)
        for sequence in sequences.values()
        for before, after in itertools.pairwise(sequence)
    ]
    return sum(before != after for before, after in pairs) / len(pairs) if pairs else math.nan


def _matrices(observation: Observation) -> list[np.ndarray]:
    return [np.asarray(rows, dtype=np.int64) for rows in observation["transitions"].values()]


def entropy_ratio(observation: Observation) -> float:
    """Entropy of a node's next pick over that of a fair draw, the mean over nodes."""
    found = []
    for matrix in _matrices(observation):
        bits = next_pick_entropy_bits(matrix)
        found.append(bits / math.log2(len(matrix)))
    return float(np.mean(found))


def cyclic_share(observation: Observation) -> float:
    """How often a node's next pick was the next of its own most frequent order, over all nodes.

    An order is a cycle through all backends: where the successors do not form one, it is 0.
    """
    followed = total = 0
    for matrix in _matrices(observation):
        successors = matrix.argmax(axis=1)
        if not _is_cycle(successors):
            return 0.0
        followed += int(matrix.max(axis=1).sum())
        total += int(matrix.sum())
    return followed / total if total else 0.0


def _is_cycle(successors: np.ndarray) -> bool:
    at, seen = 0, set()
    while at not in seen:
        seen.add(at)
        at = int(successors[at])
    return at == 0 and len(seen) == len(successors)


def chi_square_p(observation: Observation) -> float:
    """p of "every pick is an independent fair draw", over all nodes' transitions."""
    from scipy import stats

    cells = np.concatenate([matrix.ravel() for matrix in _matrices(observation)])
    return float(stats.chisquare(cells).pvalue) if cells.sum() else 1.0


def judge_thirds(observed: Sequence[Observation], mode: str) -> Judgement:
    """Equivalence of every backend's share with an equal one, over trials."""
    shares = np.asarray([one["shares"] for one in observed], dtype=float)
    fair = 1.0 / shares.shape[1]
    tests = [equivalence(column, fair, SHARE_MARGIN) for column in shares.T]
    picks = int(sum(one["picks"] for one in observed))
    means = shares.mean(axis=0)
    figures = {
        "trials": len(shares),
        "connections": picks,
        "share_lowest": float(means.min()),
        "share_highest": float(means.max()),
        "margin": SHARE_MARGIN,
    }
    said = (
        f"Shares from {means.min():.1%} to {means.max():.1%} of {picks:,} connections in "
        f"{count(len(shares), 'trial')}"
    )
    needs = f"a random pick needs about {FOR_A_POINT:,} connections"
    return weighed(tests, said, figures, needs=needs)


def judge_random(observed: Sequence[Observation], mode: str) -> Judgement:
    """The next pick's entropy against a fair draw's.

    With too few trials for that, chi-square may still refute it: if the picks were independent fair draws,
    as the claim says, connections would be independent.
    """
    ratios = [entropy_ratio(one) for one in observed]
    test, figures = on_average(ratios, 1.0, ENTROPY_MARGIN)
    figures["connections"] = int(sum(one["picks"] for one in observed))
    if not test.n:
        few = f"{figures['connections']:,} connections are too few to tell the next pick's entropy"
        return Judgement("undecided", f"{few}: {FEWEST_FOR_ENTROPY} a node are needed.", figures)
    said = (
        f"The next pick has {test.estimate:.0%} of a fair draw's entropy; "
        f"{figures['connections']:,} connections in {count(len(observed), 'trial')}"
    )
    too_few = test.n < FEWEST_FOR_INTERVAL
    if too_few and test.estimate < 1.0 - ENTROPY_MARGIN:
        p = _combined([chi_square_p(one) for one in observed])
        if p <= ALPHA:
            shown = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
            said += f"; fair draws would look so by chance with {shown}"
            return Judgement("does not hold", f"{said}.", {**figures, "chi2_p": p}, p)
    return weighed([test], said, figures, needs="longer trials")


def _combined(p_values: Sequence[float]) -> float:
    """Fisher's method."""
    from scipy import stats

    known = [max(p, 1e-300) for p in p_values]
    return float(stats.combine_pvalues(known).pvalue)


def judge_round_robin(observed: Sequence[Observation], mode: str) -> Judgement:
    """Whether each node's picks follow one order; one trial in which they do not refutes it."""
    shares = [cyclic_share(one) for one in observed]
    picks = int(sum(one["picks"] for one in observed))
    figures = {"trials": len(shares), "connections": picks, "in_order_share": min(shares)}
    said = f"At least {min(shares):.1%} of the picks of each trial are the next in order"
    if min(shares) == 0.0:
        said = "A node's picks follow no fixed order through all backends"
    followed = min(shares) >= CYCLIC
    verdict = "holds" if followed else "does not hold"
    return Judgement(verdict, f"{said}; {picks:,} connections.", figures)  # type: ignore[arg-type]


def judge_told(observed: Sequence[Observation], mode: str) -> Judgement:
    """What the mode is told to do, against what it did."""
    rule = telling.rule_of(mode)
    if rule == "random":
        return judge_random(observed, mode)
    if rule == "cyclic":
        return judge_round_robin(observed, mode)
    if rule in {"least", "one"}:
        return telling.judge(observed, rule)
    return Judgement("undecided", f"What {mode} is told cannot be read from picks alone.")


def judge_same_first(observed: Sequence[Observation], mode: str) -> Judgement:
    """One trial in which two nodes picked the same shows that they may.

    None in t trials, with three nodes that each begin anywhere in an order, has the chance (2/9)^t.
    """
    together = sum(bool(one["coincided"]) for one in observed)
    chances = [one["next_differs_chance"] for one in observed]
    chance = float(np.mean([one for one in chances if one is not None] or [math.nan]))
    p = (2 / 9) ** len(observed)
    figures = {"trials": len(observed), "trials_with_one": together, "next_differs_chance": chance}
    said = (
        f"In {together} of {count(len(observed), 'trial')} two nodes picked the same backend at the "
        f"same time; a client's next pick differs from its last with a chance of {chance:.0%}"
    )
    if together:
        return Judgement("holds", f"{said}.", figures)
    if p <= ALPHA:
        return Judgement("does not hold", f"{said}.", figures, p)
    return Judgement("undecided", f"{said}; chance alone would do so (p = {p:.2g}).", figures, p)


def judge_even(observed: Sequence[Observation], mode: str) -> Judgement:
    """The shares' coefficient of variation, one per trial, against its limit."""
    observed = [one for one in observed if one["cv"] is not None]
    values = [float(one["cv"]) for one in observed]
    picks = int(sum(one["picks"] for one in observed))
    decision = decided_on_limit(against_limit(values, [False] * len(values), EVEN_CV))
    if not values:
        return Judgement("undecided", "No connection was answered.")
    mean = float(np.mean(values))
    figures = {"trials": len(values), "connections": picks, "cv": mean, "limit": EVEN_CV}
    said = f"Coefficient of variation {mean:.3f} over {picks // max(1, len(values)):,} connections"
    said += f" a trial, {count(len(values), 'trial')}"
    if decision.verdict == "undecided":
        said += f"; {power(len(values), 'longer trials')}"
    return Judgement(decision.verdict, f"{said}.", figures, decision.p_value)
