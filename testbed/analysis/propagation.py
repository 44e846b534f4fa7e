"""Who still sends to a withdrawn backend, and until when, where nodes hear of it at different times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import arms
from testbed.analysis.equivalence import UNDECIDED, Decision, decided, equivalence
from testbed.analysis.intervals import over_trials
from testbed.analysis.phases import Trial, trials_of
from testbed.analysis.picks import kernel_order_ns
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary

NS_PER_S = 1e9
BIN_S = 0.1
"""Width of a step in the plot of shares over time."""


def staleness(run: Run) -> pd.DataFrame:
    """A row per trial and client node: trial, node, delay_s, program_s, stale_s, picks, stale_picks,
    failed, censored.

    Seconds after the store wrote the withdrawal: `program_s` to the node's rules without the
    backend, `stale_s` to its kernel's last new connection to it. `picks` and `failed` are new
    connections from the withdrawal on until then, `stale_picks` those to the backend. `censored`:
    the node's rules did not follow within what was watched.
    """
    rows = [row for trial, what in trials_of(run) for row in _of_trial(trial, what)]
    columns = ("trial", "node", "delay_s", "program_s", "stale_s", "picks", "stale_picks", "failed")
    return pd.DataFrame(rows, columns=pd.Index((*columns, "censored")))


def _of_trial(trial: Any, what: Trial) -> Iterator[tuple[Any, ...]]:
    withdrawn = _withdrawal(what)
    if withdrawn is None:
        return
    t_ns, version = withdrawn
    connections = _connections(what)
    for node, rows in connections.groupby("client_node", sort=True):
        after = (rows["entry_ns"] - t_ns) / NS_PER_S
        to_victim = rows["picked_backend"] == what.pod.rpartition("/")[2]
        stale = after[to_victim & (after >= 0)]
        programmed = _programmed(what, str(node), version)
        stale_s = float(stale.max()) if len(stale) else 0.0
        window = (after >= 0) & (after <= stale_s)
        yield (
            trial,
            str(node),
            _delay_s(what, str(node)),
            math.nan if programmed is None else (programmed - t_ns) / NS_PER_S,
            stale_s,
            int(window.sum()),
            len(stale),
            int((window & (rows["outcome"] != "ok")).sum()),
            programmed is None,
        )


def _withdrawal(what: Trial) -> tuple[float, int] | None:
    """(when, resourceVersion) of the first write of a slice without the backend after the fault."""
    events = what.events
    found = events[
        (events["source"] == "store")
        & (events["kind"] == "endpoint-not-ready")
        & (events["t_ns"] >= what.t0_ns)
    ]
    for _, event in found.iterrows():
        if event["detail"].get("uid") == what.uid:
            return float(event["t_ns"]), int(event["resource_version"])
    return None


def _connections(what: Trial) -> pd.DataFrame:
    """One row per new connection of the main stream, with when its kernel's entry was made."""
    samples = what.samples
    samples = samples[(samples["stream"] == "main") & samples["picked_backend"].notna()]
    samples = samples.assign(entry_ns=kernel_order_ns(samples))
    return samples.sort_values("entry_ns").drop_duplicates(["client", "connection"])


def _programmed(what: Trial, node: str, version: int) -> float | None:
    """When the node's rules first held that version."""
    syncs = what.events[
        (what.events["source"] == "proxy")
        & (what.events["kind"] == "sync")
        & (what.events["node"] == node)
        & (what.events["resource_version"] >= version)
    ]
    ends = [float(detail["end_ns"]) for detail in syncs["detail"] if not detail.get("error")]
    return min(ends, default=None)


def _delay_s(what: Trial, node: str) -> float:
    """How late the node's watch was made; 0: it was left alone."""
    faults = what.events[
        (what.events["source"] == "fault")
        & (what.events["kind"] == "delay-watch")
        & (what.events["node"] == node)
    ]
    return float(faults["detail"].iloc[-1]["delay_s"]) if len(faults) else 0.0


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial, for trials.csv: trial, stale_ms_max, stale_picks, failed_while_stale,
    excess_ms_max (the furthest that any node's staleness is from its delay).
    """
    table = staleness(run)
    excess = (table["stale_s"] - table["delay_s"]).abs()
    rows = pd.DataFrame(
        {
            "trial": table["trial"],
            "stale_ms_max": table["stale_s"] * 1e3,
            "excess_ms_max": excess * 1e3,
            "stale_picks": table["stale_picks"],
            "failed_while_stale": table["failed"],
        }
    )
    largest = rows.groupby("trial")[["stale_ms_max", "excess_ms_max"]].max()
    return largest.join(
        rows.groupby("trial")[["stale_picks", "failed_while_stale"]].sum()
    ).reset_index()


def findings(run: Run, hypothesis: str, margin_s: float) -> list[Finding]:
    """For each arm, whether every node stays stale for its own delay, to within the margin."""
    table = staleness(run)
    asked = [(arm, table[table["trial"].isin(arm.trials)]) for arm in arms(run)]
    answers = [_decided(rows, margin_s) for _, rows in asked]
    return [
        Finding(
            question=f"{arm.label}: is each node stale for exactly as long as it hears late?",
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name="stale-as-delayed",
            arm=arm.label,
            figures=_figures(rows, margin_s),
            answer=_sentence(rows, margin_s),
        )
        for (arm, rows), answer in zip(asked, answers, strict=True)
    ]


def _decided(table: pd.DataFrame, margin_s: float) -> Decision:
    """Undecided where a node was not watched to its end: that might have decided otherwise."""
    if table["censored"].any():
        return UNDECIDED
    return decided(
        [
            equivalence(rows["stale_s"] - rows["delay_s"], 0.0, margin_s)
            for _, rows in table.groupby("node", sort=True)
        ]
    )


def primaries(run: Run) -> list[Primary]:
    """How long each node goes on; a percentage is of that."""
    table = staleness(run)
    return [
        Primary(
            "stale-as-delayed",
            arm.factors,
            tuple(rows["stale_s"]),
            "s",
            detail=str(node),
            censored=tuple(rows["censored"].astype(bool)),
        )
        for arm in arms(run)
        for node, rows in table[table["trial"].isin(arm.trials)].groupby("node", sort=True)
    ]


def _figures(table: pd.DataFrame, margin_s: float) -> dict[str, Any]:
    figures: dict[str, Any] = {"margin_s": margin_s, "trials": int(table["trial"].nunique())}
    for node, rows in table.groupby("node", sort=True):
        interval = over_trials(rows["stale_s"])
        figures |= {
            f"{node}_delay_s": float(rows["delay_s"].mean()),
            f"{node}_stale_s": interval.estimate,
            f"{node}_stale_ci95_low_s": interval.low,
            f"{node}_stale_ci95_high_s": interval.high,
            f"{node}_stale_picks": int(rows["stale_picks"].sum()),
        }
    return figures


def _sentence(table: pd.DataFrame, margin_s: float) -> str:
    if table.empty:
        return "No trial in which a backend was withdrawn."
    parts = [
        f"{node}, {float(rows['delay_s'].mean()):g} s late, sent there for "
        f"{float(rows['stale_s'].mean()):.2f} s ({int(rows['stale_picks'].sum())} connections)"
        for node, rows in table.groupby("node", sort=True)
    ]
    return (
        f"After the withdrawal {'; '.join(parts)}; margin {margin_s:g} s, "
        f"n = {table['trial'].nunique()} trials."
    )


def shares_over_time(run: Run, before_s: float = 1.0) -> pd.DataFrame:
    """A row per trial, node and step of `BIN_S`: trial, node, at_s (its begin, after the withdrawal),
    picks, to_victim.
    """
    parts = []
    for trial, what in trials_of(run):
        withdrawn = _withdrawal(what)
        if withdrawn is None:
            continue
        rows = _connections(what)
        after = (rows["entry_ns"] - withdrawn[0]) / NS_PER_S
        kept = rows[after >= -before_s].assign(
            at_s=np.floor(after[after >= -before_s] / BIN_S) * BIN_S,
            to_victim=rows["picked_backend"] == what.pod.rpartition("/")[2],
        )
        counts = kept.groupby(["client_node", "at_s"])["to_victim"].agg(["size", "sum"])
        parts.append(counts.reset_index().assign(trial=trial))
    names = {"client_node": "node", "size": "picks", "sum": "to_victim"}
    if not parts:
        return pd.DataFrame(columns=pd.Index(("node", "at_s", "picks", "to_victim", "trial")))
    return pd.concat(parts, ignore_index=True).rename(columns=names)
