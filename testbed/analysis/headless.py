"""Balance by names against balance by a cluster address: how even, and what happens when a pod goes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import against_limit, decided, decided_on_limit, equivalence
from testbed.analysis.intervals import of_times, over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed
from testbed.analysis.reuse import expected_cv
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic import evenness

STILL_FAILING_S = 1.0
"""Before the end: who loses a request then has not recovered while it was watched."""
LATE_SHARE = 0.25
"""Of the time after the deletion, its end: by then whoever is to hear of the successor has."""


@once_per_run
def requests(run: Run) -> pd.DataFrame:
    """A row per request of the stream main: trial, client, backend, scheduled_ns, failed, outcome, and
    `after_s`: when it was due, in seconds after the deletion.
    """
    columns = ("trial", "stream", "client", "backend", "scheduled_ns", "outcome")
    samples = run.requests.columns(*columns)
    mine = samples[samples["stream"] == "main"]
    faults = run.events[run.events["source"] == "fault"].groupby("trial")["t_ns"].min()
    after_s = (mine["scheduled_ns"].astype(float) - mine["trial"].map(faults).astype(float)) / 1e9
    return mine.assign(after_s=after_s, failed=failed(mine)).drop(columns="stream")


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial; before the deletion cv and random_cv (coefficients of variation of connections
    over backends: found, and with random picks), excess_cv, largest_share (of a client's connections, its
    favourite backend's, mean over clients); after it lost_share (of requests), recover_ms (the last one that
    failed), recover_censored, successor_share (of answers at the end).
    """
    table = requests(run)
    successors = _successors(run)
    replicas = dict(zip(run.trials["trial"], run.trials["replicas"], strict=True))
    rows = [
        {"trial": trial, **_before(rows, int(replicas[trial])), **_after(rows, successors[trial])}
        for trial, rows in table.groupby("trial", sort=True)
        if trial in successors
    ]
    return pd.DataFrame(rows)


def _successors(run: Run) -> dict[Any, set[str]]:
    """By trial with a deletion, the pods that were ready for the first time after it."""
    events = run.events[["trial", "t_ns", "source", "kind", "object"]]
    deleted = events[events["source"] == "fault"].groupby("trial")["t_ns"].min()
    ready = events[(events["source"] == "store") & (events["kind"] == "pod-ready")]
    later = ready[ready["t_ns"] > ready["trial"].map(deleted)]
    names = later["object"].str.rpartition("/")[2]
    return {trial: set(names[later["trial"] == trial]) for trial in deleted.index}


def _before(rows: pd.DataFrame, replicas: int) -> dict[str, float]:
    answered = rows[(rows["after_s"] < 0) & (rows["outcome"] == "ok")]
    found = answered["backend"].astype(str).value_counts().to_list()
    counts = np.asarray([*found, *[0] * max(replicas - len(found), 0)], dtype=np.int64)
    cv = evenness.coefficient_of_variation(counts) if counts.sum() else math.nan
    random = expected_cv(np.ones(int(counts.sum()), dtype=np.int64), replicas)
    favourites = answered["backend"].astype(str).groupby(answered["client"].astype(str))
    largest = favourites.agg(lambda one: one.value_counts(normalize=True).iloc[0])
    return {
        "cv": cv,
        "random_cv": random,
        "excess_cv": cv - random,
        "largest_share": float(largest.mean()),
    }


def _after(rows: pd.DataFrame, successors: set[str]) -> dict[str, float]:
    later = rows[rows["after_s"] >= 0]
    end_s = float(later["after_s"].max()) if len(later) else math.nan
    lost = later.loc[later["failed"], "after_s"]
    last_s = float(lost.max()) if len(lost) else 0.0
    still = bool(last_s > end_s - STILL_FAILING_S)
    late = later[(later["after_s"] > end_s * (1 - LATE_SHARE)) & (later["outcome"] == "ok")]
    return {
        "lost_share": float(later["failed"].mean()),
        "recover_ms": 1e3 * (end_s if still else last_s),
        "recover_censored": still,
        "successor_share": float(late["backend"].astype(str).isin(successors).mean()),
    }


def findings(run: Run, hypothesis: str, margin_cv: float, limit_ms: float) -> list[Finding]:
    """Two answers for each arm: whether connections are as even as random ones, and whether requests fail no
    longer than that after the deletion.
    """
    table = metrics(run)
    found: list[Finding] = []
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        even = decided([equivalence(rows["excess_cv"].dropna(), 0.0, margin_cv)])
        recovered = decided_on_limit(
            against_limit(rows["recover_ms"], rows["recover_censored"].astype(bool), limit_ms)
        )
        for name, asks, answer in (
            ("as-even", "are connections as even as random picks?", even),
            ("recovers", f"does the last request fail within {limit_ms / 1e3:g} s?", recovered),
        ):
            found.append(
                Finding(
                    question=f"{arm.label}: {asks}",
                    hypothesis=hypothesis,
                    verdict=answer.verdict,
                    p_value=answer.p_value,
                    name=name,
                    arm=arm.label,
                    figures=_figures(rows, margin_cv, limit_ms),
                    answer=_sentence(rows, name),
                )
            )
    return found


def primaries(run: Run) -> list[Primary]:
    """Evenness, as the excess over random picks, and the time until nothing fails."""
    table = metrics(run)
    mine = [(arm, table[table["trial"].isin(arm.trials)]) for arm in arms(run)]
    return [
        Primary(
            "as-even",
            arm.factors,
            tuple(rows["excess_cv"].dropna()),
            level=float(rows["random_cv"].mean()),
        )
        for arm, rows in mine
    ]


def _figures(rows: pd.DataFrame, margin_cv: float, limit_ms: float) -> dict[str, Any]:
    found: dict[str, Any] = {"trials": len(rows), "margin_cv": margin_cv, "limit_ms": limit_ms}
    for name in ("cv", "random_cv", "largest_share", "lost_share", "successor_share"):
        interval = over_trials(rows[name].dropna())
        found |= {
            name: interval.estimate,
            f"{name}_ci95_low": interval.low,
            f"{name}_ci95_high": interval.high,
        }
    recovery = of_times(rows["recover_ms"], rows["recover_censored"].astype(bool))
    return found | {
        "recover_ms": recovery.estimate,
        "recover_ci95_low_ms": recovery.low,
        "recover_ci95_high_ms": recovery.high,
        "never_recovered": recovery.censored,
    }


def _sentence(rows: pd.DataFrame, name: str) -> str:
    if rows.empty:
        return "No trial counted."
    means = rows.mean(numeric_only=True)
    if name == "as-even":
        return (
            f"Coefficient of variation over backends {means['cv']:.3f}, random picks would give"
            f" {means['random_cv']:.3f}; a client's favourite backend had"
            f" {means['largest_share']:.0%} of its connections; n = {len(rows)} trials."
        )
    lost = int(rows["recover_censored"].sum())
    typical = rows.loc[~rows["recover_censored"].astype(bool), "recover_ms"]
    until = f"the last failed {typical.median():.0f} ms after it (median)" if len(typical) else ""
    never = f"{lost} of {len(rows)} trials still lost requests at their end" if lost else ""
    return (
        f"After the deletion {means['lost_share']:.1%} of the requests failed;"
        f" {'; '.join(filter(None, (until, never)))}; at the end the successor had"
        f" {means['successor_share']:.1%} of the answers; n = {len(rows)} trials."
    )


def of_arm(run: Run, arm: Arm) -> pd.DataFrame:
    """An arm's rows of `metrics`."""
    table = metrics(run)
    return table[table["trial"].isin(arm.trials)]
