"""What grows with the number of services, and how: metrics of `scale`, fitted power laws."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.equivalence import Equivalence, decided, equivalence
from testbed.analysis.intervals import Interval, over_trials
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary

SIZE, MODE = "services", "proxy"
"""The factors: how many, and of what kind."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the metrics. With a margin, whose exponent must stay within it to be flat."""

    column: str
    title: str
    unit: str
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class Law:
    """`value = a * services ** exponent` of one mode: one exponent per block, fitted on logs.

    `scale` is the geometric mean of the blocks' a.
    """

    mode: str
    measure: Measure
    exponents: tuple[float, ...]
    exponent: Interval
    scale: float
    test: Equivalence


# Metrics


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial; a column that a trial has no data for is missing or not a number."""
    rows = []
    for trial, events in run.events.groupby("trial", sort=False):
        notes = events[events["source"] == "trial"]
        rows.append(
            {
                "trial": trial,
                **_syncs(events),
                **_handshakes(notes[notes["kind"] == "handshakes"]),
                **_resources(notes[notes["kind"] == "resources"]),
            }
        )
    return pd.DataFrame(rows)


def _syncs(events: pd.DataFrame) -> dict[str, float]:
    """Times of the first full sync, and of those that brought each changed endpoint into force."""
    syncs = events[(events["source"] == "proxy") & (events["kind"] == "sync")]
    syncs = syncs[[not detail.get("error") for detail in syncs["detail"]]]
    if syncs.empty:
        return {}
    took = [_took_ms(detail) for detail in syncs["detail"]]
    syncs = syncs.assign(took_ms=took, full=[bool(one["full"]) for one in syncs["detail"]])
    faults = events.loc[events["source"] == "fault", "t_ns"]
    first = syncs[syncs["full"]].sort_values("t_ns").head(1)
    found = {"full_sync_ms": float(first["took_ms"].iloc[0])} if len(first) else {}
    if faults.empty:
        return found
    writes = events[
        events["kind"].isin(("endpoint-ready", "endpoint-not-ready"))
        & (events["t_ns"] >= faults.min())
    ]
    pairs = [pair for _, write in writes.iterrows() if (pair := _sync_of(write, syncs))]
    if pairs:
        found["change_sync_ms"] = float(np.median([took for took, _ in pairs]))
        found["change_ms"] = float(np.median([after for _, after in pairs]))
    return found


def _took_ms(detail: Mapping[str, Any]) -> float:
    return float(detail["end_ns"] - detail["start_ns"]) / 1e6


def _sync_of(write: Any, syncs: pd.DataFrame) -> tuple[float, float] | None:
    """(the tool's time, from the write to the rules) of the first sync that has the write."""
    later = syncs[syncs["resource_version"] >= write["resource_version"]]
    if later.empty:
        return None
    sync = later.loc[later["t_ns"].idxmin()]
    return float(sync["took_ms"]), float(sync["t_ns"] - write["t_ns"]) / 1e6


def _handshakes(notes: pd.DataFrame) -> dict[str, float]:
    if notes.empty:
        return {}
    detail = notes["detail"].iloc[0]
    service, direct = (np.asarray(detail[name], dtype=float) for name in ("service", "direct"))
    return {
        "first_packet_us": float(np.median(service)) / 1e3,
        "first_packet_p99_us": float(np.percentile(service, 99)) / 1e3,
        "first_packet_direct_us": float(np.median(direct)) / 1e3,
        "first_packet_over_direct": float(np.median(service) / np.median(direct)),
        "timestamp_resolution_ns": float(detail["resolution_ns"]),
    }


def _resources(notes: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {}
    spent = []
    for detail in notes["detail"]:
        if detail["at"] == "start":
            found["memory_mib"] = float(detail["memory_mib"])
            found["cpu_start_s"] = float(detail["cpu_s"])
        else:
            spent.append(detail["after"]["cpu_s"] - detail["before"]["cpu_s"])
    if spent:
        # Two changes in each: the endpoint goes, and comes back.
        found["cpu_change_ms"] = float(np.median(spent)) * 1e3 / 2
    return found


def resources(text: str) -> dict[str, float]:
    """cpu_s (a process and the children it waited for) and memory_mib, from /proc/PID/stat and
    /proc/PID/status one after the other (proc(5)).
    """
    stat, _, status = text.partition("\n")
    times = stat.rpartition(")")[2].split()[11:15]
    memory = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return {
        "cpu_s": sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
        "memory_mib": int(memory.split()[1]) / 1024,
    }


# Laws


def laws(run: Run, table: pd.DataFrame, measures: Sequence[Measure]) -> list[Law]:
    """A law for each mode and measure that has at least two sizes; n of its interval is blocks."""
    joined = run.trials[["trial", "block", MODE, SIZE]].merge(table, on="trial")
    order = [str(value) for value in run.meta["factors"][MODE]]
    found = []
    for mode in order:
        rows = joined[joined[MODE] == mode]
        for measure in measures:
            if measure.column in rows.columns and rows[SIZE].nunique() > 1:
                fits = list(_fits(rows, measure.column))
                if fits:
                    found.append(_law(mode, measure, fits))
    return found


def _fits(rows: pd.DataFrame, column: str) -> Iterator[tuple[float, float]]:
    """(exponent, a) of each block whose values have logarithms."""
    for _, block in rows.groupby("block"):
        known = block[block[column] > 0]
        if known[SIZE].nunique() > 1:
            sizes = np.log(known[SIZE].to_numpy(dtype=float))
            slope, start = np.polyfit(sizes, np.log(known[column].to_numpy(dtype=float)), 1)
            yield float(slope), math.exp(float(start))


def _law(mode: str, measure: Measure, fits: Sequence[tuple[float, float]]) -> Law:
    exponents = [exponent for exponent, _ in fits]
    return Law(
        mode=mode,
        measure=measure,
        exponents=tuple(exponents),
        exponent=over_trials(exponents),
        scale=math.exp(float(np.mean([math.log(a) for _, a in fits]))),
        test=equivalence(exponents, 0.0, measure.margin),
    )


def findings(
    run: Run, table: pd.DataFrame, measures: Sequence[Measure], hypothesis: str
) -> list[Finding]:
    """Is it flat? Asked of every measure with a margin, in every mode."""
    asked = _asked(run, table, measures)
    answers = [decided([law.test]) for law in asked]
    return [
        Finding(
            question=f"{law.mode}: does it not grow with the services? ({law.measure.title})",
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name=name_of(law.measure),
            arm=law.mode,
            figures={
                "mode": law.mode,
                "measure": law.measure.column,
                "blocks": law.exponent.n,
                "exponent": law.exponent.estimate,
                "exponent_ci95_low": law.exponent.low,
                "exponent_ci95_high": law.exponent.high,
                "margin": law.measure.margin,
                f"at_one_service_{law.measure.unit.replace('µ', 'u')}": law.scale,
            },
            answer=_sentence(law),
        )
        for law, answer in zip(asked, answers, strict=True)
    ]


def _asked(run: Run, table: pd.DataFrame, measures: Sequence[Measure]) -> list[Law]:
    return [law for law in laws(run, table, measures) if law.measure.margin]


def primaries(run: Run, table: pd.DataFrame, measures: Sequence[Measure]) -> list[Primary]:
    """Exponents, one per block; a percentage is of 1, which is growth in proportion."""
    return [
        Primary(name_of(law.measure), {MODE: law.mode}, law.exponents, level=1.0)
        for law in _asked(run, table, measures)
    ]


def name_of(measure: Measure) -> str:
    """Of the finding about a measure: `flat-change-ms`."""
    return f"flat-{measure.column.replace('_', '-')}"


def _sentence(law: Law) -> str:
    interval = "too few blocks for an interval"
    if law.exponent.low is not None and law.exponent.high is not None:
        interval = f"95 % interval {law.exponent.low:.2f} to {law.exponent.high:.2f}"
    return (
        f"{law.measure.title} grows as services to the power {law.exponent.estimate:.2f} "
        f"({interval}; n = {law.exponent.n} blocks)."
    )
