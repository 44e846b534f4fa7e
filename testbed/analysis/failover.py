"""Failover: how long each phase takes, what failed, and the verdicts. Faults are never pooled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import LimitTest, against_limit, decided_on_limit
from testbed.analysis.intervals import Interval, of_times
from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed, outcome_counts
from testbed.analysis.phases import PHASES, Trial, phase_table, trials_of
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.units import pretty_s

NEW, KEPT = "outage", "kept"
"""The streams of new connections and of requests on kept ones."""


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial, to stand beside its factors in trials.csv.

    For each phase PHASE_ms, the latest over nodes and clients, and PHASE_censored; then
    loss_integral_ms (the failed share of new connections, integrated over time since the fault),
    and offered and failed requests on new and on kept connections since the fault.
    """
    table = phase_table(run).assign(
        took_ms=lambda rows: rows["end_ms"].where(
            rows["phase"] != "outage", rows["end_ms"] - rows["begin_ms"]
        )
    )
    times = table.pivot_table(index="trial", columns="phase", values="took_ms", aggfunc="max")
    lost = table.astype({"censored": bool}).pivot_table(
        index="trial", columns="phase", values="censored", aggfunc="any"
    )
    columns: dict[str, Any] = {}
    for phase in PHASES:
        if phase in times.columns:
            columns[f"{phase}_ms"] = times[phase]
            columns[f"{phase}_censored"] = lost[phase].astype("boolean")
    losses = pd.DataFrame([{"trial": trial, **_loss(what)} for trial, what in trials_of(run)])
    frame = pd.DataFrame(columns).rename_axis("trial").reset_index()
    return frame.merge(losses, on="trial", how="outer") if len(losses) else frame


def _loss(trial: Trial) -> dict[str, float | int]:
    found: dict[str, float | int] = {}
    for name, stream in (("new", NEW), ("kept", KEPT)):
        rows = since_fault(trial, stream)
        found[f"offered_{name}"] = len(rows)
        found[f"failed_{name}"] = int(failed(rows).sum())
    rows = since_fault(trial, NEW)
    if len(rows):
        watched_ms = trial.after_t0_ms(float(rows["scheduled_ns"].max()))
        found["loss_integral_ms"] = found["failed_new"] / found["offered_new"] * watched_ms
    return found


def since_fault(trial: Trial, stream: str) -> pd.DataFrame:
    """The stream's requests that the fault could hurt: due after it, or in flight at it."""
    samples = trial.samples
    if "stream" not in samples.columns:
        return samples.iloc[:0]
    due = samples["scheduled_ns"].astype(float).fillna(samples["start_ns"].astype(float))
    met_it = (due >= trial.t0_ns) | (samples["end_ns"].astype(float) >= trial.t0_ns)
    return samples[(samples["stream"] == stream) & met_it]


@once_per_run
def outcomes(run: Run) -> pd.DataFrame:
    """A row per arm, fault and stream (new or kept connections) with counts of each outcome."""
    labels = {trial: arm.label for arm in arms(run) for trial in arm.trials}
    parts = []
    for trial, what in trials_of(run):
        for name, stream in (("new", NEW), ("kept", KEPT)):
            rows = since_fault(what, stream)
            if len(rows):
                parts.append(
                    rows[["outcome"]].assign(
                        arm=labels.get(trial, ""), fault=what.fault, connections=name
                    )
                )
    if not parts:
        return pd.DataFrame(columns=pd.Index(("arm", "fault", "connections", "offered")))
    return outcome_counts(pd.concat(parts), ["arm", "fault", "connections"])


@once_per_run
def phase_intervals(run: Run) -> dict[str, dict[str, Interval]]:
    """arm -> phase -> typical time in ms over trials, each trial its latest node or client."""
    table = metrics(run)
    found: dict[str, dict[str, Interval]] = {}
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        found[arm.label] = {
            phase: of_times(
                known[f"{phase}_ms"], known[f"{phase}_censored"].astype(bool), seed=run.seed
            )
            for phase in PHASES
            if f"{phase}_ms" in rows.columns and len(known := rows[rows[f"{phase}_ms"].notna()])
        }
    return found


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """A readiness probe as the kubelet runs it; Kubernetes' defaults."""

    period_s: float = 10.0
    timeout_s: float = 1.0
    failure_threshold: int = 3

    @property
    def earliest_s(self) -> float:
        """A hang just before a probe is seen after this."""
        return (self.failure_threshold - 1) * self.period_s + self.timeout_s

    @property
    def latest_s(self) -> float:
        """A hang just after a probe is seen after this."""
        return self.failure_threshold * self.period_s + self.timeout_s


def hang_law_p(detect_s: ArrayLike, probe: ProbeSettings) -> float:
    """p (Kolmogorov-Smirnov) of detection of hangs being uniform on [(f-1)p + t, fp + t].

    That is what a probe every p seconds with timeout t and threshold f amounts to when the fault
    falls anywhere in a period. Not a number below five trials.
    """
    times = np.asarray(detect_s, dtype=float)
    if times.size < 5:
        return math.nan
    width = probe.latest_s - probe.earliest_s
    return float(stats.kstest(times, "uniform", args=(probe.earliest_s, width)).pvalue)


def findings(
    run: Run,
    hypothesis: str,
    limits_ms: Mapping[str, float],
    probe: ProbeSettings | None = None,
) -> list[Finding]:
    """One confirmatory answer for each arm: do clients recover within the limit?

    `limits_ms` holds, per fault, the recovery time claimed before the run. Arms of a fault that it
    does not name are left out. `probe` gives timeout and threshold; the factor `probe_period_s`
    overrides its period.
    """
    table = metrics(run)
    asked = [
        (arm, fault, _observed(table[table["trial"].isin(arm.trials)]))
        for arm in arms(run)
        if (fault := fault_of(run, arm)) in limits_ms
    ]
    tests = [
        against_limit(rows["recover_ms"], rows["recover_censored"], limits_ms[fault])
        if len(rows)
        else LimitTest(1.0, 1.0)
        for _, fault, rows in asked
    ]
    intervals = phase_intervals(run)
    return [
        Finding(
            question=f"How long until clients have recovered ({arm.label or fault})?",
            hypothesis=f"{hypothesis} Limit for {fault}: {pretty_ms(limits_ms[fault])}.",
            verdict=answer.verdict,
            p_value=answer.p_value,
            name="recovery",
            arm=arm.label or fault,
            figures={
                "limit_ms": limits_ms[fault],
                "p_below": test.p_below,
                "p_above": test.p_above,
                **_arm_figures(rows, intervals[arm.label]),
                **(_hang_figures(rows, arm, probe) if fault == "hang" else {}),
            },
            answer=_sentence(rows, intervals[arm.label]),
        )
        for (arm, fault, rows), test, answer in zip(
            asked, tests, map(decided_on_limit, tests), strict=True
        )
    ]


def primaries(run: Run) -> list[Primary]:
    """Recovery in each arm, in ms."""
    table = metrics(run)
    observed = ((arm, _observed(table[table["trial"].isin(arm.trials)])) for arm in arms(run))
    return [
        Primary(
            "recovery",
            arm.factors,
            tuple(rows["recover_ms"]) if len(rows) else (),
            "ms",
            "log",
            censored=tuple(rows["recover_censored"].astype(bool)) if len(rows) else (),
        )
        for arm, rows in observed
    ]


def _observed(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials in which some client's recovery could be told, censored or not."""
    known = rows["recover_ms"].notna() if "recover_ms" in rows.columns else pd.Series(dtype=bool)
    return rows[known] if len(known) else rows.iloc[:0]


def _hang_figures(rows: pd.DataFrame, arm: Arm, probe: ProbeSettings | None) -> dict[str, float]:
    settings = probe or ProbeSettings()
    period_s = float(arm.factors.get("probe_period_s", settings.period_s))
    settings = ProbeSettings(period_s, settings.timeout_s, settings.failure_threshold)
    seen = rows.loc[~rows["detect_censored"].astype(bool), "detect_ms"]
    return {
        "hang_law_earliest_s": settings.earliest_s,
        "hang_law_latest_s": settings.latest_s,
        "hang_law_p": hang_law_p(seen / 1e3, settings),
    }


def fault_of(run: Run, arm: Arm) -> str:
    """The arm's fault: its factor, else the one that was recorded in all its trials."""
    if "fault" in arm.factors:
        return str(arm.factors["fault"])
    faults = {what.fault for trial, what in trials_of(run) if trial in arm.trials}
    return faults.pop() if len(faults) == 1 else ""


def _arm_figures(rows: pd.DataFrame, intervals: Mapping[str, Interval]) -> dict[str, Any]:
    figures: dict[str, Any] = {"trials": len(rows)}
    for phase, interval in intervals.items():
        figures[f"{phase}_ms"] = interval.estimate
        figures[f"{phase}_ci95_low_ms"] = interval.low
        figures[f"{phase}_ci95_high_ms"] = interval.high
        figures[f"{phase}_censored"] = interval.censored
    for name in ("failed_new", "offered_new", "failed_kept", "offered_kept"):
        figures[name] = int(rows[name].sum())
    if "loss_integral_ms" in rows.columns:
        figures["loss_integral_median_ms"] = float(rows["loss_integral_ms"].median())
    return figures


def _sentence(rows: pd.DataFrame, intervals: Mapping[str, Interval]) -> str:
    if "recover" not in intervals:
        return "In none of its trials could recovery be told: no stream was there at the fault."
    steps = [
        f"{name} after {pretty_ms(intervals[phase].estimate)}"
        for phase, name in (
            ("detect", "detected"),
            ("withdraw", "withdrawn"),
            ("program", "programmed on the last node"),
            ("recover", "recovered"),
        )
        if phase in intervals
    ]
    lost = _share(rows, "new"), _share(rows, "kept")
    missing = intervals["recover"].censored
    never = f"; {missing} of {len(rows)} trials did not recover while watched" if missing else ""
    return (
        f"Typically, over {len(rows)} trials: {', '.join(steps)}{never}. Failed since the fault: "
        f"{lost[0]} on new connections, {lost[1]} on kept ones."
    )


def _share(rows: pd.DataFrame, name: str) -> str:
    failed_n, offered = int(rows[f"failed_{name}"].sum()), int(rows[f"offered_{name}"].sum())
    return f"{failed_n} of {offered} requests" if offered else "none offered"


def pretty_ms(value_ms: float) -> str:
    """A time for people, such as `12.3 ms`; infinity is one that was never reached."""
    return "longer than was watched" if math.isinf(value_ms) else pretty_s(value_ms / 1e3)
