"""Does a balancer notice that one backend is slower? Its share of connections, and what clients wait."""

from __future__ import annotations

from typing import Any

import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import in_words, over_trials
from testbed.analysis.picks import picks
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary

SLOW = "slow-"
"""How the slow backends' names begin."""


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, slow_share (of connections, over all clients), and the latency of the
    main stream from the scheduled time: latency_p50_ms, latency_p99_ms, slow_p50_ms, quick_p50_ms.
    """
    chosen = picks(run, "connection")
    shares = chosen["backend"].str.startswith(SLOW).groupby(chosen["trial"]).mean()
    samples = run.requests.columns(
        "trial", "stream", "outcome", "backend", "scheduled_ns", "end_ns"
    )
    done = samples[(samples["stream"] == "main") & (samples["outcome"] == "ok")]
    took = (done["end_ns"].astype(float) - done["scheduled_ns"].astype(float)) / 1e6
    is_slow = done["backend"].str.startswith(SLOW)
    by_trial = took.groupby(done["trial"])
    table = pd.DataFrame(
        {
            "slow_share": shares,
            "latency_p50_ms": by_trial.quantile(0.5),
            "latency_p99_ms": by_trial.quantile(0.99),
            "slow_p50_ms": took[is_slow].groupby(done["trial"]).median(),
            "quick_p50_ms": took[~is_slow].groupby(done["trial"]).median(),
        }
    )
    return table.rename_axis("trial").reset_index()


def fair_share(factors: Any) -> float:
    """What the slow backend gets from a balancer that sees no difference."""
    return 1.0 / (int(factors["quick"]) + 1)


def findings(run: Run, hypothesis: str, margin: float) -> list[Finding]:
    """For each arm, whether the slow backend gets an equal share, to within the margin (of one)."""
    table = metrics(run)
    found = list(arms(run))
    tests = [
        equivalence(_of(table, arm)["slow_share"].dropna(), fair_share(arm.factors), margin)
        for arm in found
    ]
    answers = [decided([test]) for test in tests]
    return [
        Finding(
            question=f"{arm.label}: does the slow backend get as much as the others?",
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name="equal-share",
            arm=arm.label,
            figures=_figures(_of(table, arm), arm, margin),
            answer=_sentence(_of(table, arm), arm),
        )
        for arm, answer in zip(found, answers, strict=True)
    ]


def primaries(run: Run) -> list[Primary]:
    """The slow backend's share; a percentage is of an equal one."""
    table = metrics(run)
    return [
        Primary(
            "equal-share",
            arm.factors,
            tuple(_of(table, arm)["slow_share"].dropna()),
            level=fair_share(arm.factors),
        )
        for arm in arms(run)
    ]


def _of(table: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    return table[table["trial"].isin(arm.trials)]


def _figures(table: pd.DataFrame, arm: Arm, margin: float) -> dict[str, Any]:
    share = over_trials(table["slow_share"].dropna())
    p99 = over_trials(table["latency_p99_ms"].dropna(), scale="log")
    return {
        "trials": share.n,
        "equal_share": fair_share(arm.factors),
        "margin": margin,
        "slow_share": share.estimate,
        "slow_share_ci95_low": share.low,
        "slow_share_ci95_high": share.high,
        "latency_p50_ms": over_trials(table["latency_p50_ms"].dropna(), scale="log").estimate,
        "latency_p99_ms": p99.estimate,
        "latency_p99_ci95_low_ms": p99.low,
        "latency_p99_ci95_high_ms": p99.high,
    }


def _sentence(table: pd.DataFrame, arm: Arm) -> str:
    if table.empty:
        return "No trial with answers."
    share = over_trials(table["slow_share"].dropna())
    interval = in_words(share, ".1%")
    p50, p99 = (table[f"latency_{name}_ms"].mean() for name in ("p50", "p99"))
    return (
        f"The slow backend got {share.estimate:.1%} ({interval}), an equal share is "
        f"{fair_share(arm.factors):.1%}; latency p50 {p50:.3g} ms, p99 {p99:.3g} ms; "
        f"n = {share.n} trials."
    )
