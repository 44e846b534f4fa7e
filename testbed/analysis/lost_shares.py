"""What is said of the share of requests that a phase loses, arm by arm, and how a run answers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis.arms import Arm
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import Interval, in_words, over_trials
from testbed.analysis.power import share_spread
from testbed.analysis.run import Finding
from testbed.experiment.primary import Pilot, Primary


@dataclass(frozen=True, slots=True)
class ShareClaim:
    """`column`, a share of each trial, is `target` to within `margin`."""

    name: str
    column: str
    target: float
    margin: float
    asks: str


def share_over_trials(rows: pd.DataFrame, claim: ShareClaim) -> Interval:
    """The claim's share with its interval, over the trials that came to its phase."""
    return over_trials(_values(rows, claim))


def share_finding(
    rows: pd.DataFrame, arm: Arm, claim: ShareClaim, told: tuple[str, str, Mapping[str, Any]]
) -> Finding:
    """An arm's answer to a claim. `told`: the hypothesis, the answer as a sentence, further figures."""
    hypothesis, answer, further = told
    values = _values(rows, claim)
    decision = decided([equivalence(values, claim.target, claim.margin)])
    value = over_trials(values)
    return Finding(
        question=f"{arm.label}: {claim.asks}" if arm.label else claim.asks.capitalize(),
        hypothesis=hypothesis,
        verdict=decision.verdict,
        figures={
            "trials": value.n,
            "target_share": claim.target,
            "margin_share": claim.margin,
            claim.column: value.estimate if value.n else None,
            f"{claim.column}_ci95_low": value.low,
            f"{claim.column}_ci95_high": value.high,
            **further,
        },
        answer=answer,
        name=claim.name,
        arm=arm.label,
        p_value=decision.p_value,
    )


def share_told(claim: ShareClaim, value: Interval, lost: int, further: Iterable[str]) -> str:
    """The answer as a sentence: requests lost, their share, its interval, and what else there is to say."""
    interval = in_words(value, ".1%", 0.0)
    return (
        f"{lost} requests on new connections failed, {value.estimate:.1%} of those due then ({interval}), "
        f"against {claim.target:.0%}; {'; '.join((*further, f'n = {value.n} trials'))}."
    )


def share_pilots(claims: Iterable[ShareClaim], due: float) -> tuple[Pilot, ...]:
    """How far trials will spread in which each of `due` requests is lost or not, by a chance of its own.
    Where none is to be lost, chance says nothing: half the margin is granted.
    """
    return tuple(
        Pilot(
            claim.name,
            claim.margin,
            share_spread(claim.target, due) if claim.target else claim.margin / 2,
        )
        for claim in claims
    )


def share_primaries(table: pd.DataFrame, claims: Iterable[tuple[Arm, ShareClaim]]) -> list[Primary]:
    """The share that each claim is about, trial by trial."""
    return [
        Primary(
            claim.name,
            arm.factors,
            tuple(_values(table[table["trial"].isin(arm.trials)], claim)),
            level=1.0,
        )
        for arm, claim in claims
    ]


def _values(rows: pd.DataFrame, claim: ShareClaim) -> list[float]:
    return list(rows[claim.column].dropna()) if claim.column in rows.columns else []
