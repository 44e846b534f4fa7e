"""Requests on kept connections through a balancer of connections, and through one of requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import in_words, over_trials
from testbed.analysis.reuse import expected_cv
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic import evenness

SERVICE, INGRESS = "service", "ingress"
"""The ways: by the service's address (L4), and through the ingress controller (L7)."""
_READ = ("trial", "stream", "client", "connection", "outcome", "backend")


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, connections, requests, failed, request_cv, promised_cv, excess_cv.

    Coefficients of variation over the backends, by who has answered. `promised_cv` is what a random backend
    for each connection would show on average, or 0 where each request is balanced by itself.
    """
    samples = run.requests.columns(*_READ)
    main = samples[samples["stream"] == "main"]
    known = run.trials[["trial", "via", "replicas"]].to_dict("records")
    ways = {row["trial"]: (str(row["via"]), int(row["replicas"])) for row in known}
    rows = [
        (trial, *_of_trial(requests, *ways[trial]))
        for trial, requests in main.groupby("trial", sort=True)
    ]
    columns = ("trial", "connections", "requests", "failed", "request_cv", "promised_cv")
    table = pd.DataFrame(rows, columns=pd.Index(columns))
    return table.assign(excess_cv=table["request_cv"] - table["promised_cv"])


def _of_trial(
    requests: pd.DataFrame, via: str, replicas: int
) -> tuple[int, int, int, float, float]:
    answered = requests[requests["outcome"] == "ok"]
    counts = np.zeros(replicas, dtype=np.int64)
    found = answered["backend"].value_counts().to_numpy()
    found = found[found > 0]
    counts[: found.size] = found[:replicas]
    sizes = answered.groupby(["client", "connection"], observed=True).size()
    sizes_of = sizes.to_numpy().astype(np.int64)
    promised = 0.0 if via == INGRESS else expected_cv(sizes_of, replicas)
    failed = int((requests["outcome"] != "ok").sum())
    cv = evenness.coefficient_of_variation(counts)
    return sizes_of.size, len(answered), failed, cv, promised


def findings(run: Run, hypothesis: str, margin: float) -> list[Finding]:
    """For each arm, whether requests are as even as its balancer makes them."""
    table = metrics(run)
    found = []
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        answer = decided([equivalence(rows["excess_cv"].dropna(), 0.0, margin)])
        found.append(
            Finding(
                question=f"{arm.label}: are requests as even as this balancer promises?",
                hypothesis=hypothesis,
                verdict=answer.verdict,
                p_value=answer.p_value,
                name="as-promised",
                arm=arm.label,
                figures=_figures(rows, margin),
                answer=_sentence(rows),
            )
        )
    return found


def primaries(run: Run) -> list[Primary]:
    """How much more uneven requests are than their balancer promises."""
    table = metrics(run)
    mine = ((arm, table[table["trial"].isin(arm.trials)]) for arm in arms(run))
    return [
        Primary("as-promised", arm.factors, tuple(rows["excess_cv"].dropna())) for arm, rows in mine
    ]


def _figures(rows: pd.DataFrame, margin: float) -> dict[str, Any]:
    cv, excess = over_trials(rows["request_cv"].dropna()), over_trials(rows["excess_cv"].dropna())
    return {
        "trials": cv.n,
        "margin": margin,
        "connections": float(rows["connections"].mean()),
        "requests": float(rows["requests"].mean()),
        "failed": int(rows["failed"].sum()),
        "request_cv": cv.estimate,
        "request_cv_ci95_low": cv.low,
        "request_cv_ci95_high": cv.high,
        "promised_cv": float(rows["promised_cv"].mean()),
        "excess_cv": excess.estimate,
        "excess_cv_ci95_low": excess.low,
        "excess_cv_ci95_high": excess.high,
    }


def _sentence(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "No trial with requests that were answered."
    excess = over_trials(rows["excess_cv"].dropna())
    interval = in_words(excess, "+.3f")
    return (
        f"{rows['requests'].mean():.0f} requests on {rows['connections'].mean():.0f} connections: "
        f"their coefficient of variation is {rows['request_cv'].mean():.3f}, the balancer promises "
        f"{rows['promised_cv'].mean():.3f}; difference {excess.estimate:+.3f} ({interval}); "
        f"n = {excess.n} trials."
    )
