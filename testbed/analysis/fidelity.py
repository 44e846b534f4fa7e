"""How far a run can be trusted: the fidelity meter's columns, their limits, and what was excluded.

`summary(run)` is for reports; the limits are those that `analysis.validity` judged the trials by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis.arms import arms, valid_rows
from testbed.analysis.run import Run
from testbed.analysis.validity import COUNTERS, Limits, limits_of
from testbed.experiment.columns import SIGNALS
from testbed.experiment.design import DEFAULT

TITLES: Mapping[str, str] = {
    "steal_share": "CPU time that the hypervisor took",
    "cpu_pressure_share": "time in which a task waited for a CPU",
    "run_delay_share": "waiting of all tasks, per second",
    "softnet_dropped": "packets for which a CPU's backlog had no room",
    "softnet_squeezed": "times that a CPU left packets for later",
    "link_dropped": "packets that links dropped",
    "conntrack_fill_share": "fullest connection table",
    "control_lag_p99_ms": "lag of the generators on the control, p99 (ms)",
    "records_lost": "conntrack events that were lost",
    "accepts_lost": "accept records that were lost",
    "insert_failed": "conntrack insert_failed",
    "drop": "conntrack drop",
    "early_drop": "conntrack early_drop",
}


@dataclass(frozen=True, slots=True)
class Signal:
    """One column of trials.csv over all trials, the excluded ones too.

    `limit` is what a trial may show at most; None: shown, not judged. `over` counts trials above it,
    `known` those in which the kernel told.
    """

    name: str
    title: str
    limit: float | None
    known: int
    median: float | None
    worst: float | None
    over: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """One arm: its trials, those of dropped blocks, and the reasons with how often each was given."""

    arm: str
    trials: int
    excluded: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What the meter says of a run."""

    signals: tuple[Signal, ...]
    arms: tuple[Excluded, ...]


def summary(run: Run) -> Fidelity:
    """The meter's columns that this run has, and the exclusions of each arm."""
    limits = _limits(run)
    return Fidelity(
        signals=tuple(
            _signal(run.trials[name], limits.get(name))
            for name in SIGNALS
            if name in run.trials.columns and run.trials[name].notna().any()
        ),
        arms=tuple(_excluded(run, arm.label, list(arm.trials)) for arm in arms(run)),
    )


def _limits(run: Run) -> dict[str, float]:
    """By column. A run from before `timing` stood in run.json is judged as one that measures times."""
    timing = bool(run.meta.get("measures_times", True))
    found: Limits = limits_of(timing, str(run.meta.get("profile", DEFAULT)))
    by_column = {
        name: getattr(found, name)
        for name in ("steal_share", "softnet_dropped", "conntrack_fill_share", "control_lag_p99_ms")
    }
    by_column |= dict.fromkeys((*COUNTERS, "records_lost", "accepts_lost"), 0.0)
    return {name: limit for name, limit in by_column.items() if math.isfinite(limit)}


def _signal(column: pd.Series[Any], limit: float | None) -> Signal:
    values = column.dropna().astype(float)
    return Signal(
        name=str(column.name),
        title=TITLES[str(column.name)],
        limit=limit,
        known=len(values),
        median=float(values.median()) if len(values) else None,
        worst=float(values.max()) if len(values) else None,
        over=0 if limit is None else int((values > limit).sum()),
    )


def _excluded(run: Run, label: str, trials: list[Any]) -> Excluded:
    rows = run.trials[run.trials["trial"].isin(trials)]
    bad = rows[~valid_rows(run)[rows.index]]
    given = bad["invalid_reason"].dropna().astype(str) if "invalid_reason" in bad else pd.Series()
    reasons = pd.Series([part for text in given for part in text.split("; ")], dtype=str)
    counts = reasons.map(_kind).value_counts()
    return Excluded(
        label,
        len(rows),
        len(bad),
        tuple((str(reason), int(count)) for reason, count in counts.items()),
    )


def _kind(reason: str) -> str:
    """A reason without its figures, so that like ones are counted together."""
    for words, kind in _KINDS.items():
        if words in reason:
            return kind
    return reason


_KINDS = {
    "its block was dropped": "another trial of its block",
    "generator was late": "late generator",
    "hypervisor took": "CPU taken by the hypervisor",
    "residual": "connections that nobody accounts for",
    "conntrack ": "connections lost by conntrack",
    "were lost": "records lost",
    "connection table": "full connection table",
    "backlog": "packets dropped in a CPU's backlog",
    "failed in the client": "client out of ports",
    "still in flight": "requests in flight at the end",
    "after the fault": "a stream that began after the fault",
    "failed: ": "the trial failed",
}
