"""A node lost behind a load balancer: what that costs by phase, and how connections went before."""

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
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic.evenness import jain_index

PHASES = ("before", "blind", "noticed", "over")
"""In their order: `blind` begins with the loss, `noticed` when whoever leads packets into the cluster sends the
node nothing new, `over` when besides every other node's rules have lost its endpoints."""
STREAMS = {"new": "outage", "kept": "kept"}
LOST = "edge-lost"
"""The note of a trial: {victim, address, provider, policy, backends: [pod's node, …]}."""
WAYS = "edge-ways"
"""The note of how connections went before: {ways: [[pod's node, entry, whom the pod saw, hops], …]}."""
_READ = ("stream", "outcome", "scheduled_ns", "backend")
_NOTICES = {
    "cloud": ("edge", "node-unhealthy"),
    "l2": ("edge", "announcing"),
    "bgp": ("bgp", "route-changed"),
}


def is_notice(event: Any, provider: str, victim: str, address: str) -> bool:
    """Whether an event says that who leads packets in has noticed: a cloud's check of the node has failed for
    good, another node announces the address, a router has another set of ways to it.
    """
    kind = provider if provider in _NOTICES else "cloud"
    if (event.source, event.kind) != _NOTICES[kind]:
        return False
    if kind == "cloud":
        return bool(event.node == victim)
    elsewhere = event.node != victim
    return bool(elsewhere and event.object.partition("/")[0] == address)


@dataclass(frozen=True, slots=True)
class Loss:
    """One trial. `begins_ns` has the beginning of each phase that there was."""

    trial: Any
    note: Mapping[str, Any]
    begins_ns: Mapping[str, float]
    end_ns: float
    samples: pd.DataFrame
    """Requests with their `phase`."""
    ways: tuple[tuple[str, str, str, int], ...]

    def of(self, stream: str) -> pd.DataFrame:
        return self.samples[self.samples["stream"] == STREAMS[stream]]


@once_per_run
def losses(run: Run) -> tuple[Loss, ...]:
    """Every trial that lost a node."""
    return tuple(_losses(run))


def _losses(run: Run) -> Iterator[Loss]:
    for trial, events in run.events.groupby("trial", sort=True):
        notes = events[(events["source"] == "trial") & (events["kind"] == LOST)]
        faults = events[(events["source"] == "fault") & (events["kind"] == "stop-node")]
        if notes.empty or faults.empty:
            continue
        note = notes["detail"].iloc[0]
        begins = _begins(events, float(faults["t_ns"].iloc[0]), note)
        samples = run.requests.only((trial,)).columns(*_READ)
        due = samples["scheduled_ns"].astype(float)
        names = ("before", *begins)
        edges = np.searchsorted(np.array(list(begins.values())), due, side="right")
        ways = events[(events["source"] == "trial") & (events["kind"] == WAYS)]
        yield Loss(
            trial,
            note,
            begins,
            float(due.max()) if len(due) else math.nan,
            samples.assign(scheduled_ns=due, phase=np.array(names)[edges]),
            tuple((*row[:3], int(row[3])) for detail in ways["detail"] for row in detail["ways"]),
        )


def _begins(events: pd.DataFrame, lost_ns: float, note: Mapping[str, Any]) -> dict[str, float]:
    found = {"blind": lost_ns}
    after = events[events["t_ns"] >= lost_ns]
    said = (note["provider"], note["victim"], note["address"])
    rows = zip(after["t_ns"].astype(float), after.itertuples(), strict=True)
    notices = [t_ns for t_ns, one in rows if is_notice(one, *said)]
    if not notices:
        return found
    withdrawn_ns = _withdrawn(after, note["victim"])
    if withdrawn_ns is None or withdrawn_ns > min(notices):
        found["noticed"] = min(notices)
    if withdrawn_ns is not None:
        found["over"] = max(withdrawn_ns, min(notices))
    return found


def _withdrawn(events: pd.DataFrame, victim: str) -> float | None:
    """When the last other node's rules had lost the victim's endpoints; None: one never had."""
    stores = events[(events["source"] == "store") & (events["kind"] == "endpoint-not-ready")]
    stores = stores[stores["node"] == victim]
    if stores.empty:
        return None
    version = stores["resource_version"].max()
    syncs = events[(events["source"] == "proxy") & (events["kind"] == "sync")]
    others = set(syncs["node"]) - {victim}
    first = syncs[syncs["resource_version"] >= version].groupby("node")["t_ns"].min()
    known = first[first.index.isin(others)]
    return float(known.max()) if len(known) == len(others) and others else None


@once_per_run
def table(run: Run) -> pd.DataFrame:
    """A row per trial, connections (new or kept) and phase: offered, failed, lost_share."""
    rows = []
    for one in losses(run):
        for stream in STREAMS:
            mine = one.of(stream)
            for phase in PHASES:
                due = mine[mine["phase"] == phase]
                lost = int(failed(due).sum())
                share = lost / len(due) if len(due) else math.nan
                rows.append([one.trial, stream, phase, len(due), lost, share])
    names = ["trial", "connections", "phase", "offered", "failed", "lost_share"]
    return pd.DataFrame(rows, columns=pd.Index(names))


@once_per_run
def causes(run: Run) -> pd.DataFrame:
    """A row per trial, connections and outcome of what failed after the loss: requests."""
    rows = []
    for one in losses(run):
        for stream in STREAMS:
            mine = one.of(stream)
            bad = mine[failed(mine) & (mine["phase"] != "before")]
            for outcome, count in bad["outcome"].astype(str).value_counts().items():
                rows.append([one.trial, stream, outcome, int(count)])
    return pd.DataFrame(rows, columns=pd.Index(["trial", "connections", "outcome", "requests"]))


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: noticed_ms and over_ms since the loss, each with `…_censored`; outage_ms, until the last
    failed request on a new connection was due; lost_PHASE, lost_share_PHASE and lost_kept; and of the
    connections before: source_kept_share, two_hops_share, jain_backends, jain_entries.
    """
    lost = table(run)
    rows = []
    for one in losses(run):
        row: dict[str, Any] = {"trial": one.trial, **_times(one), **_before(one)}
        mine = lost[lost["trial"] == one.trial]
        for loss in mine[mine["connections"] == "new"].to_dict("records"):
            row[f"lost_{loss['phase']}"] = loss["failed"]
            row[f"lost_share_{loss['phase']}"] = loss["lost_share"]
        kept = mine[(mine["connections"] == "kept") & (mine["phase"] != "before")]
        row["lost_kept"] = int(kept["failed"].sum())
        rows.append(row)
    return pd.DataFrame(rows) if rows else pd.DataFrame({"trial": []})


def _times(one: Loss) -> dict[str, Any]:
    start = one.begins_ns["blind"]
    found: dict[str, Any] = {}
    noticed = one.begins_ns.get("noticed", one.begins_ns.get("over"))
    for name, at in (("noticed", noticed), ("over", one.begins_ns.get("over"))):
        found[f"{name}_ms"] = ((one.end_ns if at is None else at) - start) / 1e6
        found[f"{name}_ms_censored"] = at is None
    new = one.of("new")
    bad = new[failed(new) & (new["phase"] != "before")]["scheduled_ns"]
    found["outage_ms"] = (float(bad.max()) - start) / 1e6 if len(bad) else 0.0
    return found


def _before(one: Loss) -> dict[str, float]:
    """Of the connections before: how they came in, and who answered."""
    new = one.of("new")
    answered = new[(new["phase"] == "before") & ~failed(new)]["backend"].dropna()
    counts = answered.astype(str).value_counts()
    nodes = [str(node) for node in one.note["backends"]]
    by_pod = [*counts, *([0] * (len(nodes) - len(counts)))]
    entries = [sum(entry == node for _, entry, _, _ in one.ways) for node in nodes]
    ways = one.ways
    known = len(ways) or math.nan
    return {
        "source_kept_share": sum(seen == "client" for _, _, seen, _ in ways) / known,
        "two_hops_share": sum(home != entry for home, entry, _, _ in ways) / known,
        "jain_backends": jain_index(np.array(by_pod)) if len(counts) else math.nan,
        "jain_entries": jain_index(np.array(entries)) if sum(entries) else math.nan,
    }


def claims_of(
    factors: Mapping[str, Any], gone: float, margins: tuple[float, float]
) -> list[ShareClaim]:
    """What is said of an arm. `gone`: the share of backends on the lost node; `margins`: of losing that share,
    and of losing nothing.
    """
    share, nothing = margins
    once_over = ShareClaim(
        "whole-once-over", "lost_share_over", 0.0, nothing,
        "is nothing lost once the node is out of the way in and out of the rules?",
    )  # fmt: skip
    if factors["policy"] == "Local":
        return [
            ShareClaim("local-whole-once-noticed", "lost_share_noticed", 0.0, nothing,
                   "is nothing lost once the way in avoids the node?"),
            once_over,
        ]  # fmt: skip
    return [
        ShareClaim("cluster-loses-its-share", "lost_share_noticed", gone, share,
               "do other nodes go on sending the lost node its share?"),
        once_over,
    ]  # fmt: skip


def findings(run: Run, hypothesis: str, gone: float, margins: tuple[float, float]) -> list[Finding]:
    """An answer for each claim of each arm; then how connections went before."""
    rows = metrics(run)
    found = []
    for arm in arms(run):
        mine = rows[rows["trial"].isin(arm.trials)]
        found += [
            _finding(mine, arm, claim, hypothesis)
            for claim in claims_of(arm.factors, gone, margins)
        ]
        found.append(_way_in(mine, arm))
    return found


def _finding(rows: pd.DataFrame, arm: Arm, claim: ShareClaim, hypothesis: str) -> Finding:
    told = hypothesis, _sentence(rows, claim), _typical(rows)
    return share_finding(rows, arm, claim, told)


def _typical(rows: pd.DataFrame) -> dict[str, Any]:
    """Times with their intervals where every trial came to them; requests lost over all trials."""
    found: dict[str, Any] = {}
    for name in ("noticed_ms", "over_ms", "outage_ms"):
        if name in rows and not rows.get(f"{name}_censored", pd.Series(dtype=bool)).any():
            value = over_trials(rows[name])
            found[name] = value.estimate
            found[f"{name}_ci95_low"], found[f"{name}_ci95_high"] = value.low, value.high
    for name in (*(f"lost_{phase}" for phase in PHASES[1:]), "lost_kept"):
        if name in rows:
            found[name] = int(rows[name].sum())
    return found


def _sentence(rows: pd.DataFrame, claim: ShareClaim) -> str:
    value = share_over_trials(rows, claim)
    if not value.n:
        return "No trial came to that phase."
    figures = _typical(rows)
    times = (
        f"{word} after {figures[name] / 1e3:.2f} s"
        for name, word in (("noticed_ms", "noticed"), ("over_ms", "out of the rules"))
        if name in figures
    )
    return share_told(claim, value, figures[claim.column.replace("lost_share", "lost")], times)


def _way_in(rows: pd.DataFrame, arm: Arm) -> Finding:
    """How connections went before anything was lost: a description, which nothing refutes."""
    names = ("source_kept_share", "two_hops_share", "jain_backends", "jain_entries")
    means = {name: over_trials(rows[name].dropna()) for name in names if name in rows}
    known = {name: value.estimate for name, value in means.items() if value.n}
    answer = "Nothing was dialled."
    if len(known) == len(names):
        answer = (
            f"Pods saw the client's own address in {known['source_kept_share']:.0%} of the connections; "
            f"{known['two_hops_share']:.0%} went on to another node; Jain's index over backends "
            f"{known['jain_backends']:.2f}, over the nodes that they came in by "
            f"{known['jain_entries']:.2f}; n = {means['jain_backends'].n} trials."
        )
    return Finding(
        question=f"{arm.label}: how do connections come in?"
        if arm.label
        else "How do they come in?",
        hypothesis="A description: the edge matrix says what is promised.",
        verdict="holds" if known else "undecided",
        figures=known,
        answer=answer,
        name="way-in",
        arm=arm.label,
        confirmatory=False,
    )


def primaries(run: Run, gone: float, margins: tuple[float, float]) -> list[Primary]:
    """The share that each claim is about."""
    claims = ((arm, claim) for arm in arms(run) for claim in claims_of(arm.factors, gone, margins))
    return share_primaries(metrics(run), claims)
