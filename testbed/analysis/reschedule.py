"""A pod moves: which connections to it survive, and how long its clients go without an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary

VICTIM = "victim"
"""What the trial notes of the pod before it moves: pod, uid, ip, node."""
STREAMS = {"new": "outage", "kept": "kept", "udp": "udp", "direct": "direct"}
"""To the service by new connections, kept ones and UDP sockets; by new ones to the pod's own address."""
CLAIMS = ("no-tcp-survives", "udp-goes-on", "address-answers-again")
_COLUMNS = dict(zip(CLAIMS, ("tcp_survive_share", "udp_survive_share", "direct_back"), strict=True))
_ASKED = {
    "no-tcp-survives": "does no TCP connection to the moved pod survive?",
    "udp-goes-on": "are its UDP sockets answered again?",
    "address-answers-again": "who dials the pod itself: as said of that address?",
}
_READ = (
    *("stream", "client", "connection", "picked_backend", "backend", "outcome"),
    *("scheduled_ns", "end_ns"),
)


@dataclass(frozen=True, slots=True)
class Move:
    """One trial. `back_ns` is when the successor became an endpoint; None: it never did."""

    trial: Any
    victim: str
    t0_ns: float
    end_ns: float
    successor: str
    back_ns: float | None
    samples: pd.DataFrame

    def of(self, stream: str) -> pd.DataFrame:
        return self.samples[self.samples["stream"] == stream]

    def since(self, stream: str) -> pd.DataFrame:
        """Requests that the move could hurt."""
        rows = self.of(stream)
        return rows[rows["end_ns"] >= self.t0_ns]


@once_per_run
def moves(run: Run) -> tuple[Move, ...]:
    """Every trial in which a pod was moved."""
    return tuple(_moves(run))


def _moves(run: Run) -> Iterator[Move]:
    for trial, events in run.events.groupby("trial", sort=True):
        told = events[(events["source"] == "trial") & (events["kind"] == VICTIM)]
        faults = events[
            (events["source"] == "fault") & events["kind"].isin(("delete", "stop-node"))
        ]
        if told.empty or faults.empty:
            continue
        victim, t0_ns = told["detail"].iloc[0], float(faults["t_ns"].iloc[0])
        joins = events[(events["source"] == "store") & (events["kind"] == "endpoint-ready")]
        known = {detail["uid"] for detail in joins.loc[joins["t_ns"] <= t0_ns, "detail"]}
        later = joins[joins["t_ns"] > t0_ns]
        new = later[[detail["uid"] not in known for detail in later["detail"]]]
        samples = run.requests.only((trial,)).columns(*_READ)
        times = {name: samples[name].astype(float) for name in ("scheduled_ns", "end_ns")}
        yield Move(
            trial=trial,
            victim=str(victim["pod"]).rpartition("/")[2],
            t0_ns=t0_ns,
            end_ns=float(events["t_ns"].max()),
            successor="" if new.empty else str(new["detail"].iloc[0]["pod"]).rpartition("/")[2],
            back_ns=None if new.empty else float(new["t_ns"].iloc[0]),
            samples=samples.assign(**times),
        )


@once_per_run
def fates(run: Run) -> pd.DataFrame:
    """A row per kept TCP connection and UDP socket that was with the pod when it moved: trial, kind (tcp,
    udp), survived (answered on it after the successor came), gap_ms (from its last answer by the moved
    pod to its next one by anybody; none: NaN), by_successor (that one was the successor's).
    """
    rows = [row for move in moves(run) if move.back_ns is not None for row in _fates(move)]
    columns = ("trial", "kind", "survived", "gap_ms", "by_successor")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _fates(move: Move) -> Iterator[tuple[Any, ...]]:
    for kind, stream in (("tcp", "kept"), ("udp", "udp")):
        answered = move.of(stream)
        answered = answered[answered["outcome"] == "ok"].sort_values("end_ns")
        for _, rows in answered.groupby(["client", "connection"], observed=True):
            before = rows[rows["end_ns"] < move.t0_ns]
            if before.empty or before["backend"].iloc[-1] != move.victim:
                continue
            last_ns = rows.loc[rows["backend"] == move.victim, "end_ns"].iloc[-1]
            then = rows[rows["end_ns"] > last_ns]
            gap_ms = np.nan if then.empty else (then["end_ns"].iloc[0] - last_ns) / 1e6
            by_successor = not then.empty and then["backend"].iloc[0] == move.successor
            yield (
                move.trial,
                kind,
                bool((rows["end_ns"] > move.back_ns).any()),
                gap_ms,
                by_successor,
            )


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, back_ms (until the successor was an endpoint; back_censored); KIND_with_pod
    and KIND_survive_share of tcp and udp, udp_gap_ms (the median socket's), udp_by_successor_share;
    direct_back (1: the pod's own address was answered again by its successor, 0: it was not) and
    direct_gap_ms until then; offered_STREAM, failed_STREAM, and loss_integral_ms of new connections.
    """
    table = fates(run)
    rows = [_row(move, table[table["trial"] == move.trial]) for move in moves(run)]
    return pd.DataFrame(rows) if rows else pd.DataFrame({"trial": []})


def _row(move: Move, mine: pd.DataFrame) -> dict[str, Any]:
    end_ns = move.end_ns if move.back_ns is None else move.back_ns
    row: dict[str, Any] = {
        "trial": move.trial,
        "back_ms": (end_ns - move.t0_ns) / 1e6,
        "back_censored": move.back_ns is None,
    }
    for kind in ("tcp", "udp"):
        own = mine[mine["kind"] == kind]
        row[f"{kind}_with_pod"] = len(own)
        row[f"{kind}_survive_share"] = float(own["survived"].astype(float).mean())
    udp = mine[mine["kind"] == "udp"]
    row["udp_gap_ms"] = float(udp["gap_ms"].astype(float).median())
    row["udp_by_successor_share"] = float(udp["by_successor"].astype(float).mean())
    row |= _direct(move)
    for name, stream in STREAMS.items():
        since = move.since(stream)
        row[f"offered_{name}"], row[f"failed_{name}"] = len(since), int(failed(since).sum())
    watched_ms = (move.end_ns - move.t0_ns) / 1e6
    row["loss_integral_ms"] = row["failed_new"] / max(1, row["offered_new"]) * watched_ms
    return row


def _direct(move: Move) -> dict[str, float]:
    """What befell those who dial the pod's own address."""
    if move.back_ns is None:
        return {"direct_back": np.nan, "direct_gap_ms": np.nan}
    rows = move.of("direct")
    answered = rows[rows["outcome"] == "ok"].sort_values("end_ns")
    last_ns = answered.loc[answered["backend"] == move.victim, "end_ns"].max()
    again = answered[(answered["backend"] == move.successor) & (answered["end_ns"] > last_ns)]
    gap_ms = np.nan if again.empty else (again["end_ns"].iloc[0] - last_ns) / 1e6
    return {"direct_back": float(not again.empty), "direct_gap_ms": gap_ms}


def expected(claim: str, arm: Arm) -> float:
    """What the hypothesis says of an arm."""
    return {
        "no-tcp-survives": 0.0,
        "udp-goes-on": 1.0,
        "address-answers-again": float(arm.factors["address"] == "kept"),
    }[claim]


def findings(run: Run, hypothesis: str, margin: float) -> list[Finding]:
    """Three answers for each arm."""
    table = metrics(run)
    found = []
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        for claim in CLAIMS:
            values, target = _values(rows, claim), expected(claim, arm)
            answer = decided([equivalence(values, target, margin)])
            found.append(
                Finding(
                    question=f"{arm.label}: {_ASKED[claim]}",
                    hypothesis=hypothesis,
                    verdict=answer.verdict,
                    p_value=answer.p_value,
                    name=claim,
                    arm=arm.label,
                    figures=_figures(rows, claim, target, margin),
                    answer=_sentence(rows, claim, target),
                )
            )
    return found


def primaries(run: Run) -> list[Primary]:
    """The three shares of each arm."""
    table = metrics(run)
    return [
        Primary(
            claim, arm.factors, _values(table[table["trial"].isin(arm.trials)], claim), level=1.0
        )
        for arm in arms(run)
        for claim in CLAIMS
    ]


def _values(rows: pd.DataFrame, claim: str) -> tuple[float, ...]:
    return tuple(rows[_COLUMNS[claim]].dropna()) if len(rows) else ()


def _figures(rows: pd.DataFrame, claim: str, target: float, margin: float) -> dict[str, Any]:
    if rows.empty:
        return {"trials": 0}
    share = over_trials(_values(rows, claim))
    measured = (
        "back_ms",
        "udp_gap_ms",
        "udp_by_successor_share",
        "direct_gap_ms",
        "loss_integral_ms",
    )
    counted = [name for name in rows.columns if name.startswith(("offered_", "failed_"))]
    return {
        "trials": share.n,
        "expected": target,
        "margin": margin,
        _COLUMNS[claim]: share.estimate,
        f"{_COLUMNS[claim]}_ci95_low": share.low,
        f"{_COLUMNS[claim]}_ci95_high": share.high,
        **{name: float(rows[name].mean()) for name in measured},
        **{name: int(rows[name].sum()) for name in counted},
        "never_back": int(rows["back_censored"].sum()),
    }


def _sentence(rows: pd.DataFrame, claim: str, target: float) -> str:
    if rows.empty:
        return "No trial in which a pod moved."
    values = _values(rows, claim)
    if not values:
        return "In no trial did the pod's successor come while it was watched, or nobody was with the pod."
    share, end = over_trials(values).estimate, f"; n = {len(values)} trials."
    came = f"the successor was an endpoint after {rows['back_ms'].mean() / 1e3:.2f} s"
    if claim == "no-tcp-survives":
        return f"{share:.0%} of {int(rows['tcp_with_pod'].sum())} TCP connections survived; {came}{end}"
    if claim == "udp-goes-on":
        said = f"{share:.0%} of {int(rows['udp_with_pod'].sum())} UDP sockets were answered again"
        if np.isfinite(gap_s := rows["udp_gap_ms"].mean() / 1e3):
            said += f", the median one after {gap_s:.2f} s"
        return f"{said}; {rows['udp_by_successor_share'].mean():.0%} of all by the successor{end}"
    after = rows["direct_gap_ms"].mean()
    when = f" after {after / 1e3:.2f} s" if np.isfinite(after) else ""
    said = "in every trial" if target else "in none"
    return (
        f"The pod's own address was answered again in {share:.0%} of the trials{when} "
        f"(claimed: {said}); {came}{end}"
    )
