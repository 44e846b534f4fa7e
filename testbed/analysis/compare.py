"""Two runs of an experiment: which of their figures differ, and which differences are real.

`compare(a, b)` has a row per arm and metric that both runs have (the metrics that `trials.csv` holds once a
report was made); differences are B minus A. Trials of two runs are independent samples: Welch's t test, for
times on the logarithm; where a trial was censored a log-rank test. `q` is the p-value after Benjamini and
Hochberg over all rows, so that at most one in 20 of the differences called real is chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from testbed.analysis.arms import Arm, arms, valid_blocks
from testbed.analysis.intervals import (
    FEWEST_FOR_INTERVAL,
    benjamini_hochberg,
    median_censored,
)
from testbed.analysis.run import Run
from testbed.analysis.summary import finite, is_time, metric_columns, unit_of
from testbed.errors import UsageError

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in one arm. Means of times are geometric, or medians where a trial was censored.

    `p`, `q` and the limits are None below five trials on a side; a limit is None too where it is
    infinite. `real`: the corrected test shows a difference, and its interval excludes 0.
    """

    metric: str
    unit: str
    factors: Mapping[str, Any]
    n_a: int
    n_b: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    q: float | None = None
    real: bool = False
    method: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows` in the arms' and metrics' order; `unlike` are the settings in which the runs differ,
    `only_a` and `only_b` the factors of arms that only one of them has.
    """

    rows: tuple[Row, ...]
    unlike: tuple[str, ...]
    only_a: tuple[Mapping[str, Any], ...]
    only_b: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(a: Run, b: Run, *, across: bool = False) -> Comparison:
    """What differs between two runs; only blocks without an invalid trial count.

    Raises UsageError for runs of different experiments, kernels, profiles or timings unless
    `across`, for runs that have no arm or no metric in common, and for one without a report.
    """
    a, b = valid_blocks(a), valid_blocks(b)
    unlike = differences_in_setting(a.meta, b.meta)
    if unlike and not across:
        raise UsageError(
            f"these runs cannot be compared: {'; '.join(unlike)}",
            "compare runs of one setting, or add --across to compare all the same",
        )
    pairs, only_a, only_b = _matched(a, b, across)
    shared = [name for name in _metrics(a) if name in set(_metrics(b))]
    if not pairs or not shared:
        what = "arm" if not pairs else "metric"
        raise UsageError(f"the runs have no {what} in common", _factor_hint(a, b))
    rows = [_row(name, pair, (a, b)) for pair in pairs for name in shared]
    return Comparison(
        tuple(_judged([row for row in rows if row is not None])), unlike, only_a, only_b
    )


def differences_in_setting(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """`kernel: 6.1.0 and 6.18.0` for each setting that two runs' `run.json` must share."""
    ours, theirs = _settings(a), _settings(b)
    return tuple(
        f"{name}: {value} and {theirs[name]}"
        for name, value in ours.items()
        if value != theirs[name]
    )


def _settings(meta: Mapping[str, Any]) -> dict[str, str]:
    return {
        "experiment": str(meta.get("experiment", "")),
        "kernel": _kernel(meta.get("environment", {}).get("kernel", {})),
        "profile": str(meta.get("profile", "default")),
        "timing": _timing(meta.get("timing", {})),
    }


def _kernel(kernel: Any) -> str:
    if not isinstance(kernel, Mapping):
        return str(kernel)
    return " ".join(str(kernel[key]) for key in ("carrier", "release") if key in kernel)


def _timing(timing: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(timing.items())) or "defaults"


Pair = tuple[Arm, Arm]


def _matched(
    a: Run, b: Run, across: bool
) -> tuple[list[Pair], tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """Arms with equal factors; `across`: with equal values of what varies in either run."""
    names = set(a.factors) | set(b.factors)
    if across:
        names = (set(a.varied) | set(b.varied)) & set(a.factors) & set(b.factors)
    theirs = {_key(arm, names): arm for arm in arms(b)}
    pairs = [(arm, theirs[_key(arm, names)]) for arm in arms(a) if _key(arm, names) in theirs]
    ours = {_key(arm, names) for arm, _ in pairs}
    only_a, only_b = (
        tuple(dict(arm.factors) for arm in arms(run) if _key(arm, names) not in ours)
        for run in (a, b)
    )
    return pairs, only_a, only_b


def _key(arm: Arm, names: set[str]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in arm.factors.items() if name in names))


def _factor_hint(a: Run, b: Run) -> str:
    differing = [
        f"{name}={_values(a, name)} and {_values(b, name)}"
        for name in dict.fromkeys((*a.factors, *b.factors))
        if _values(a, name) != _values(b, name)
    ]
    return (
        f"they differ in {'; '.join(differing)}; --across matches arms by what varies"
        if differing
        else "metrics come with the report: testbed report RUN"
    )


def _values(run: Run, name: str) -> str:
    return ",".join(map(str, run.meta.get("factors", {}).get(name, ()))) or "nothing"


def _metrics(run: Run) -> list[str]:
    # p-values are looked at together (are they uniform?), never averaged.
    return [name for name in metric_columns(run.trials, run.factors) if not name.endswith("_p")]


@dataclass(frozen=True, slots=True)
class _Side:
    """One metric of one arm in one run: a number per trial, and which were censored."""

    values: NDArray[np.float64]
    lost: NDArray[np.bool_]


def _side(run: Run, arm: Arm, metric: str) -> _Side:
    rows = run.trials[run.trials["trial"].isin(arm.trials)]
    rows = rows[rows[metric].notna()]
    flag = f"{metric.rpartition('_')[0]}_censored"
    lost = rows[flag].astype(str).str.lower().isin(("true", "1", "1.0")) if flag in rows else None
    return _Side(
        rows[metric].to_numpy(dtype=float),
        np.zeros(len(rows), dtype=bool) if lost is None else lost.to_numpy(dtype=bool),
    )


def _row(metric: str, pair: Pair, runs: tuple[Run, Run]) -> Row | None:
    """None where a side has no value."""
    sides = [_side(run, arm, metric) for run, arm in zip(runs, pair, strict=True)]
    first, second = sides
    if not first.values.size or not second.values.size:
        return None
    if first.lost.any() or second.lost.any():
        found = _censored(first, second)
    elif is_time(metric) and (first.values > 0).all() and (second.values > 0).all():
        found = _times(first.values, second.values)
    else:
        found = _welch(first.values, second.values)
    n_a, n_b = len(first.values), len(second.values)
    enough = min(n_a, n_b) >= FEWEST_FOR_INTERVAL
    return Row(
        metric=metric,
        unit=unit_of(metric),
        factors=dict(pair[0].factors),
        n_a=n_a,
        n_b=n_b,
        mean_a=finite(found.a),
        mean_b=finite(found.b),
        difference=finite(found.b - found.a),
        ci_low=finite(found.low) if enough else None,
        ci_high=finite(found.high) if enough else None,
        p=finite(found.p) if enough else None,
        method=found.method if enough else "too few trials for an interval",
    )


@dataclass(frozen=True, slots=True)
class _Found:
    a: float
    b: float
    low: float
    high: float
    p: float
    method: str


def _t_test(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """(p, the t quantile of a 95 % interval), after Welch; both sides without spread: p 0 or 1."""
    parts = [float(side.var(ddof=1)) / side.size if side.size > 1 else 0.0 for side in (a, b)]
    error = math.sqrt(sum(parts))
    distance = float(b.mean() - a.mean())
    if error <= 1e-12 * max(1.0, abs(float(a.mean()))):
        return float(math.isclose(distance, 0.0, abs_tol=1e-12)), 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (side.size - 1) for part, side in zip(parts, (a, b), strict=True) if side.size > 1
    )
    return (
        float(2 * stats.t.sf(abs(distance) / error, freedom)),
        float(stats.t.ppf(1 - ALPHA / 2, freedom)),
    )


def _half_width(side: NDArray[np.float64], quantile: float) -> float:
    return quantile * float(side.std(ddof=1)) / math.sqrt(side.size) if side.size > 1 else 0.0


def _welch(a: NDArray[np.float64], b: NDArray[np.float64]) -> _Found:
    p, quantile = _t_test(a, b)
    half = math.hypot(_half_width(a, quantile), _half_width(b, quantile))
    difference = float(b.mean() - a.mean())
    return _Found(
        float(a.mean()), float(b.mean()), difference - half, difference + half, p, "mean, Welch"
    )


def _times(a: NDArray[np.float64], b: NDArray[np.float64]) -> _Found:
    """Tested on the logarithm; the interval of the difference of the geometric means is put
    together from each one's limits (Zou and Donner 2008).
    """
    logs = np.log(a), np.log(b)
    p, quantile = _t_test(*logs)
    (low_a, mid_a, high_a), (low_b, mid_b, high_b) = (
        (math.exp(mid - half), math.exp(mid), math.exp(mid + half))
        for mid, half in ((float(log.mean()), _half_width(log, quantile)) for log in logs)
    )
    low, high = _recovered((low_a, mid_a, high_a), (low_b, mid_b, high_b))
    return _Found(mid_a, mid_b, low, high, p, "geometric mean, Welch on the logarithm")


def _censored(a: _Side, b: _Side) -> _Found:
    kept = [median_censored(side.values, side.lost) for side in (a, b)]
    limits = [
        (
            -math.inf if one.low is None else one.low,
            one.estimate,
            math.inf if one.high is None else one.high,
        )
        for one in kept
    ]
    found = (stats.CensoredData.right_censored(side.values, side.lost) for side in (a, b))
    p = float(stats.logrank(*found).pvalue) if all((~one.lost).any() for one in (a, b)) else 1.0
    low, high = _recovered(limits[0], limits[1])
    return _Found(limits[0][1], limits[1][1], low, high, p, "Kaplan-Meier median, log-rank")


Limits = tuple[float, float, float]


def _recovered(a: Limits, b: Limits) -> tuple[float, float]:
    """Limits of b - a from (low, middle, high) of each; infinite where what they are made of is."""
    if not (math.isfinite(a[1]) and math.isfinite(b[1])):
        low, high = b[0] - a[2], b[2] - a[0]
        return -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high
    difference = b[1] - a[1]
    return (
        difference - math.hypot(b[1] - b[0], a[2] - a[1]),
        difference + math.hypot(b[2] - b[1], a[1] - a[0]),
    )


def _judged(rows: Sequence[Row]) -> list[Row]:
    """With `q` and `real`."""
    tested = [(at, row.p) for at, row in enumerate(rows) if row.p is not None]
    judged = list(rows)
    for (at, _), q in zip(tested, benjamini_hochberg([p for _, p in tested]), strict=True):
        row = rows[at]
        judged[at] = replace(row, q=q, real=q <= ALPHA and _excludes_zero(row))
    return judged


def _excludes_zero(row: Row) -> bool:
    above = row.ci_low is not None and row.ci_low > 0
    return above or (row.ci_high is not None and row.ci_high < 0)


def frame(comparison: Comparison) -> pd.DataFrame:
    """The rows as a table, a factor a column."""
    return pd.DataFrame(
        [
            {**row.factors, **{k: v for k, v in asdict(row).items() if k != "factors"}}
            for row in comparison.rows
        ]
    )
