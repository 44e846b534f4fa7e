"""A partition under load: what each side loses in each of its phases, and how long those take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.lost_shares import (
    ShareClaim,
    share_finding,
    share_over_trials,
    share_primaries,
    share_told,
)
from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed
from testbed.analysis.run import Finding, Run, Verdict
from testbed.experiment.primary import Primary

SIDES = ("near", "far")
"""near: the side with the control plane, or the first one where both reach it."""
PHASES = ("before", "cut", "noticed", "withdrawn", "healed", "back")
"""In their order: `cut` begins with the partition, `noticed` when pods of the far side are found not ready,
`withdrawn` when every near node's rules know, `healed` with the partition's end, `back` when every node's rules
have all endpoints again. What is never noticed stays `cut` until it is healed."""
STREAMS = {"new": "outage", "kept": "kept"}
APART = "partition"
"""The note that says who is where: {near: [nodes], far: [nodes], beyond: whether the far side lacks the
control plane}."""
REACH = "reach"
"""The note of who reached whom while parted: {rows: [[source's node, target's node, outcome], …]}."""
_READ = ("stream", "client_node", "outcome", "scheduled_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class Parted:
    """One trial. `begins_ns` has the beginning of each phase that there was, in their order."""

    trial: Any
    sides: Mapping[str, tuple[str, ...]]
    begins_ns: Mapping[str, float]
    end_ns: float
    samples: pd.DataFrame
    """Requests with their `side` and `phase`."""

    def of(self, stream: str, side: str) -> pd.DataFrame:
        rows = self.samples
        return rows[(rows["stream"] == STREAMS[stream]) & (rows["side"] == side)]


@once_per_run
def parted(run: Run) -> tuple[Parted, ...]:
    """Every trial that was parted."""
    return tuple(_parted(run))


def _parted(run: Run) -> Iterator[Parted]:
    for trial, events in run.events.groupby("trial", sort=True):
        notes = events[(events["source"] == "trial") & (events["kind"] == APART)]
        faults = events[(events["source"] == "fault") & (events["kind"] == APART)]
        if notes.empty or faults.empty:
            continue
        note = notes["detail"].iloc[0]
        sides = {side: tuple(note[side]) for side in SIDES}
        begins = _begins(events, float(faults["t_ns"].iloc[0]), sides)
        samples = run.requests.only((trial,)).columns(*_READ)
        due = samples["scheduled_ns"].astype(float)
        side_of = {node: side for side, nodes in sides.items() for node in nodes}
        names = ("before", *begins)
        edges = np.searchsorted(np.array(list(begins.values())), due, side="right")
        yield Parted(
            trial=trial,
            sides=sides,
            begins_ns=begins,
            end_ns=float(due.max()) if len(due) else math.nan,
            samples=samples.assign(
                scheduled_ns=due,
                side=samples["client_node"].astype(str).map(side_of),
                phase=np.array(names)[edges],
            ),
        )


def _begins(
    events: pd.DataFrame, cut_ns: float, sides: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """Phase -> the instant at which it begins, of those that there were."""
    found = {"cut": cut_ns}
    heals = events[(events["source"] == "fault") & (events["kind"] == "heal")]
    heal_ns = min((float(t) for t in heals["t_ns"] if t > cut_ns), default=math.inf)
    noticed = _writes(events, "pod-not-ready", (cut_ns, heal_ns))
    if len(noticed):
        found["noticed"] = float(noticed["t_ns"].min())
    withdrawn_ns = _programmed(events, "endpoint-not-ready", (cut_ns, heal_ns), sides["near"])
    if withdrawn_ns is not None and withdrawn_ns < heal_ns:
        found["withdrawn"] = withdrawn_ns
    if heal_ns < math.inf:
        found["healed"] = heal_ns
        every = (*sides["near"], *sides["far"])
        back_ns = _programmed(events, "endpoint-ready", (heal_ns, math.inf), every)
        untold = _writes(events, "endpoint-not-ready", (cut_ns, heal_ns)).empty
        if untold:  # with the partition all is over
            found["back"] = heal_ns
        elif back_ns is not None:
            found["back"] = back_ns
    return found


def _writes(events: pd.DataFrame, kind: str, between: tuple[float, float]) -> pd.DataFrame:
    rows = events[(events["source"] == "store") & (events["kind"] == kind)]
    return rows[(rows["t_ns"] >= between[0]) & (rows["t_ns"] < between[1])]


def _programmed(
    events: pd.DataFrame, kind: str, between: tuple[float, float], nodes: tuple[str, ...]
) -> float | None:
    """When the last of these nodes had the last such write in its rules; None: there was none, or a node
    never had it.
    """
    writes = _writes(events, kind, between)
    if writes.empty:
        return None
    version = writes["resource_version"].max()
    syncs = events[(events["source"] == "proxy") & (events["kind"] == "sync")]
    syncs = syncs[(syncs["resource_version"] >= version) & (syncs["t_ns"] >= between[0])]
    syncs = syncs.loc[[not detail.get("error") for detail in syncs["detail"]]]
    first = syncs[syncs["node"].isin(nodes)].groupby("node")["t_ns"].min()
    return float(first.max()) if len(first) == len(nodes) else None


@once_per_run
def losses(run: Run) -> pd.DataFrame:
    """A row per trial, connections (new or kept), side and phase: offered, failed, lost_share."""
    rows = []
    for one in parted(run):
        for stream in STREAMS:
            for side in SIDES:
                mine = one.of(stream, side)
                for phase in PHASES:
                    due = mine[mine["phase"] == phase]
                    lost = int(failed(due).sum())
                    rows.append(
                        {"trial": one.trial, "connections": stream, "side": side, "phase": phase,
                         "offered": len(due), "failed": lost,
                         "lost_share": lost / len(due) if len(due) else math.nan}
                    )  # fmt: skip
    columns = ("trial", "connections", "side", "phase", "offered", "failed", "lost_share")
    return pd.DataFrame(rows, columns=pd.Index(columns))


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, noticed_ms, withdrawn_ms (both since the cut), back_ms (since the heal), each
    with `…_censored`; of new connections of each side in each phase lost_SIDE_PHASE, and
    lost_share_SIDE_PHASE; apart: the share of pairs of places that were as the partition says.
    """
    table = losses(run)
    rows = []
    for one in parted(run):
        row: dict[str, Any] = {"trial": one.trial, **_times(one)}
        mine = table[(table["trial"] == one.trial) & (table["connections"] == "new")]
        for loss in mine.to_dict("records"):
            key = f"{loss['side']}_{loss['phase']}"
            row[f"lost_{key}"] = loss["failed"]
            row[f"lost_share_{key}"] = loss["lost_share"]
        row["apart_share"] = _apart_share(run, one)
        rows.append(row)
    return pd.DataFrame(rows) if rows else pd.DataFrame({"trial": []})


def _times(one: Parted) -> dict[str, Any]:
    begins = one.begins_ns
    found: dict[str, Any] = {}
    for phase, since in (("noticed", "cut"), ("withdrawn", "cut"), ("back", "healed")):
        reached = phase in begins and since in begins
        until_ns = begins[phase] if reached else begins.get("healed", one.end_ns)
        found[f"{phase}_ms"] = (until_ns - begins.get(since, until_ns)) / 1e6
        found[f"{phase}_ms_censored"] = not reached
    return found


def _apart_share(run: Run, one: Parted) -> float:
    rows = reach_of(run, one.trial)
    side_of = {node: side for side, nodes in one.sides.items() for node in nodes}
    right = [
        (outcome == "reached") == (side_of[source] == side_of[target])
        for source, target, outcome in rows
    ]
    return float(np.mean(right)) if right else math.nan


def reach_of(run: Run, trial: Any) -> list[tuple[str, str, str]]:
    """Who reached whom while parted: (source's node, target's node, outcome)."""
    notes = run.events[(run.events["trial"] == trial) & (run.events["kind"] == REACH)]
    return [tuple(row) for detail in notes["detail"] for row in detail["rows"]]


def claims_of(
    factors: Mapping[str, Any], gone: float, margins: tuple[float, float]
) -> list[ShareClaim]:
    """What is said of an arm. `gone`: the share of backends on the other side; `margins`: of losing that
    share, and of losing nothing.
    """
    share, nothing = margins
    back = [
        ShareClaim(f"{side}-whole-once-back", f"lost_share_{side}_back", 0.0, nothing,
               f"does the {side} side lose nothing once all endpoints are back?")
        for side in SIDES
    ]  # fmt: skip
    if factors["control_plane"] == "beyond":
        return [
            ShareClaim("near-whole-once-withdrawn", "lost_share_near_withdrawn", 0.0, nothing,
                   "does the side with the control plane lose nothing once the others are withdrawn?"),
            ShareClaim("far-goes-on-losing", "lost_share_far_withdrawn", gone, share,
                   "does the side without it go on losing what goes to the other one?"),
            *back,
        ]  # fmt: skip
    return [
        *(
            ShareClaim(f"{side}-never-told", f"lost_share_{side}_cut", gone, share,
                   f"does the {side} side lose what goes to the other one, until it is over?")
            for side in SIDES
        ),
        *back,
    ]  # fmt: skip


def findings(run: Run, hypothesis: str, gone: float, margins: tuple[float, float]) -> list[Finding]:
    """An answer for each claim of each arm; then, who reaches whom."""
    table = metrics(run)
    found = []
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        found += [
            _finding(rows, arm, claim, hypothesis)
            for claim in claims_of(arm.factors, gone, margins)
        ]
        found.append(_who_reaches_whom(rows, arm))
    return found


def _finding(rows: pd.DataFrame, arm: Arm, claim: ShareClaim, hypothesis: str) -> Finding:
    further = {**_by_phase(rows), **_typical_times(rows)}
    return share_finding(rows, arm, claim, (hypothesis, _sentence(rows, claim), further))


def _by_phase(rows: pd.DataFrame) -> dict[str, int]:
    """Lost requests of each side in each phase, over all trials."""
    names = [f"lost_{side}_{phase}" for side in SIDES for phase in PHASES]
    return {name: int(rows[name].sum()) for name in names if name in rows.columns}


def _typical_times(rows: pd.DataFrame) -> dict[str, float]:
    names = [
        name
        for name in ("noticed_ms", "withdrawn_ms", "back_ms")
        if name in rows.columns and not rows[f"{name}_censored"].any()
    ]
    return {name: over_trials(rows[name], scale="log").estimate for name in names if len(rows)}


def _sentence(rows: pd.DataFrame, claim: ShareClaim) -> str:
    value = share_over_trials(rows, claim)
    if not value.n:
        return "No trial came to that phase."
    _, _, side, phase = claim.column.split("_")
    times = (
        f"{name.removesuffix('_ms')} after {ms / 1e3:.2f} s"
        for name, ms in _typical_times(rows).items()
    )
    return share_told(claim, value, int(rows[f"lost_{side}_{phase}"].sum()), times)


def _who_reaches_whom(rows: pd.DataFrame, arm: Arm) -> Finding:
    """No chance is involved: one pair that is otherwise refutes it."""
    shares = rows["apart_share"].dropna() if len(rows) else pd.Series(dtype=float)
    verdict: Verdict = "holds" if (shares == 1).all() else "does not hold"
    asks = "while parted, does every pod reach its own side, and nobody on the other one?"
    return Finding(
        question=f"{arm.label}: {asks}" if arm.label else asks.capitalize(),
        hypothesis="A partition is what its name says.",
        verdict="undecided" if shares.empty else verdict,
        figures={"trials": len(shares), "apart_share": None if shares.empty else shares.mean()},
        answer=f"So of {shares.mean():.0%} of the pairs that were tried; n = {len(shares)} trials."
        if len(shares)
        else "Nobody was asked.",
        name="apart-while-parted",
        arm=arm.label,
        confirmatory=False,
    )


def primaries(run: Run, gone: float, margins: tuple[float, float]) -> list[Primary]:
    """The share that each claim is about."""
    claims = ((arm, claim) for arm in arms(run) for claim in claims_of(arm.factors, gone, margins))
    return share_primaries(metrics(run), claims)
