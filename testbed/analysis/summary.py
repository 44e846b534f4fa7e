"""The rows of summary.json: every metric of trials.csv, per arm, with its interval over trials."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pandas as pd

from testbed.analysis.arms import arms
from testbed.analysis.intervals import median_censored, over_trials
from testbed.analysis.run import Run
from testbed.experiment.columns import SIGNALS, TRIALS

UNITS = {"ms": "ms", "s": "s", "us": "µs", "ns": "ns", "rps": "1/s", "bps": "bit/s", "bits": "bit"}
_TIMES = ("ms", "s", "us", "ns")
_NOT_METRICS = TRIALS | set(SIGNALS)


def unit_of(metric: str) -> str:
    """The unit that ends a metric's name; "" for a pure number."""
    return UNITS.get(metric.rpartition("_")[2], "")


def is_time(metric: str) -> bool:
    """Whether its name ends in a unit of time: then a typical value is the geometric mean."""
    return metric.rpartition("_")[2] in _TIMES


def metric_columns(table: pd.DataFrame, factors: Collection[str]) -> list[str]:
    """The columns of a table with a row per trial that are metrics: numbers, no factors, no flags."""
    return [
        str(name)
        for name in table.select_dtypes("number").columns
        if name not in _NOT_METRICS and name not in factors and not name.endswith("_censored")
    ]


def with_metrics(run: Run, metrics: pd.DataFrame) -> pd.DataFrame:
    """trials.csv with a row's metrics beside its factors; metrics that were there are replaced."""
    fresh = [name for name in metrics.columns if name != "trial"]
    kept = run.trials.drop(columns=[name for name in fresh if name in run.trials.columns])
    return kept.merge(metrics, on="trial", how="left")


def summarise(run: Run, metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """{metric, unit, factors, n, mean, ci_low, ci_high, p50, p99} per arm and metric.

    `mean` is what the interval is of: for times the geometric mean, or the Kaplan-Meier median
    where a trial was censored; `method` says which, `censored` how many. Missing is null.
    """
    names = metric_columns(metrics, run.factors)
    rows = []
    for arm in arms(run):
        table = metrics[metrics["trial"].isin(arm.trials)]
        rows += [
            {"metric": name, "unit": unit_of(name), "factors": dict(arm.factors)}
            | _figures(table, name, run.seed)
            for name in names
        ]
    return rows


def _figures(table: pd.DataFrame, metric: str, seed: int) -> dict[str, Any]:
    known = table[table[metric].notna()]
    values = known[metric].astype(float)
    stem = metric.rpartition("_")[0]
    flag = f"{stem}_censored"
    lost = known[flag].astype(bool) if flag in known.columns else pd.Series(False, known.index)
    if lost.any():
        found = median_censored(values, lost)
    else:
        found = over_trials(values, scale="log" if is_time(metric) else "linear", seed=seed)
    return {
        "n": found.n,
        "mean": finite(found.estimate),
        "ci_low": finite(found.low),
        "ci_high": finite(found.high),
        "p50": finite(float(values.quantile(0.5))) if len(values) else None,
        "p99": finite(float(values.quantile(0.99))) if len(values) else None,
        "method": found.method,
        "censored": found.censored,
    }


def finite(value: float | None) -> float | None:
    """The value, or None (JSON's null) where it is infinite or not a number."""
    return value if value is not None and math.isfinite(value) else None
