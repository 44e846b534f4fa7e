"""The tables of the page: rows of text, made from the same figures as the plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis import failover
from testbed.analysis.arms import arms, label_of
from testbed.analysis.intervals import Interval
from testbed.analysis.outcomes import outcome_counts
from testbed.analysis.phases import FAULTS, PHASES
from testbed.analysis.run import Run


@dataclass(frozen=True, slots=True)
class Table:
    """`note` says how to read it; the first column is text, the others are numbers."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(run: Run, summary: Sequence[dict[str, Any]]) -> tuple[Table, ...]:
    """The tables of any run: outcomes, phases where there was a fault, every metric."""
    found = [outcome_table(run)]
    if has_faults(run):
        found.append(phase_table(run))
    found.append(metric_table(run, summary))
    return tuple(table for table in found if table.rows)


def has_faults(run: Run) -> bool:
    """Whether any trial has a fault among its events."""
    events = run.events
    return bool(((events["source"] == "fault") & events["kind"].isin(FAULTS)).any())


def outcome_table(run: Run) -> Table:
    """Requests by outcome; in a run with faults only those due after the fault."""
    after_fault = has_faults(run)
    if after_fault:
        counts = failover.outcomes(run)
        names = ["arm", "connections"]
        counts = counts.assign(arm=counts["arm"].where(counts["arm"] != "", counts["fault"]))
    elif len(samples := run.requests.columns("trial", "stream", "outcome")):
        labels = {trial: arm.label for arm in arms(run) for trial in arm.trials}
        counts = outcome_counts(samples.assign(arm=samples["trial"].map(labels)), ["arm", "stream"])
        names = ["arm", "stream"]
    else:
        counts, names = pd.DataFrame(), []
    outcomes = [name for name in counts.columns if name not in ("arm", "fault", *names)]
    return Table(
        title="How requests ended",
        note="Requests over all valid trials"
        + (
            " due after the fault or in flight at it, on new and on kept connections"
            if after_fault
            else ""
        )
        + ". Censored ones were still in flight at the end: they neither succeeded nor failed.",
        columns=(*names, *(str(name).replace("_", " ") for name in outcomes)),
        rows=tuple(
            (*(str(row[name]) or "all" for name in names), *(f"{row[name]:,}" for name in outcomes))
            for row in counts.to_dict("records")
        ),
    )


def phase_table(run: Run) -> Table:
    """Typical time of each phase in each arm."""
    intervals = failover.phase_intervals(run)
    phases = [phase for phase in PHASES if any(phase in row for row in intervals.values())]
    return Table(
        title="Phases",
        note="Typical time after the fault, with its 95 % interval over trials; each trial its last "
        "node or client: the geometric mean, or the median where some trials (their number after "
        "the sign >) did not get there while watched. Outage: how long errors lasted.",
        columns=("arm", *phases),
        rows=tuple(
            (label or "all", *(_interval(row.get(phase)) for phase in phases))
            for label, row in intervals.items()
        ),
    )


def _interval(found: Interval | None) -> str:
    if found is None:
        return "not observed"
    text = failover.pretty_ms(found.estimate)
    if found.low is not None and found.high is not None:
        text += f" [{_bound(found.low)}, {_bound(found.high)}]"
    return text + (f" >{found.censored}" if found.censored else "")


def _bound(value_ms: float) -> str:
    return "∞" if math.isinf(value_ms) else failover.pretty_ms(value_ms)


def metric_table(run: Run, summary: Sequence[dict[str, Any]]) -> Table:
    """Every row of summary.json."""
    return Table(
        title="Every metric",
        note="One number per trial; the interval is over trials. The same rows are in "
        "summary.json.",
        columns=("metric", "arm", "n", "mean", "95 % interval", "median", "how"),
        rows=tuple(
            (
                row["metric"] + (f" ({row['unit']})" if row["unit"] else ""),
                label_of({name: row["factors"][name] for name in run.varied}) or "all",
                str(row["n"]),
                number(row["mean"]),
                f"{number(row['ci_low'])} to "
                + ("∞" if row["ci_high"] is None else number(row["ci_high"]))
                if row["ci_low"] is not None
                else "none",
                number(row["p50"]),
                row["method"] + (f", {row['censored']} censored" if row["censored"] else ""),
            )
            for row in summary
            if row["n"]
        ),
    )


def number(value: Any) -> str:
    """A figure as a person reads it: four significant digits, no trailing noise."""
    if value is None:
        return "none"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "longer than was watched" if value > 0 else "none"
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "all"
