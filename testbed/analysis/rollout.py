"""A rolling update under load: what was lost meanwhile, and who got the requests afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import in_words, over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed, outcome_counts
from testbed.analysis.reuse import expected_cv
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic import evenness

BEGUN, DONE = "rollout-begun", "rollout-done"
"""What the trial notes: before the template changes, and when every pod is new and every rule in place."""
NEW, KEPT = "outage", "kept"
STREAMS = {"new": NEW, "kept": KEPT}
"""New connections, and requests on connections that are kept."""
_READ = ("stream", "client", "connection", "picked_backend", "outcome", "scheduled_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class Update:
    """One trial. `pods` are the new ones in the order in which they became endpoints; `samples` are of
    its streams of new and kept connections.
    """

    trial: Any
    begun_ns: float
    done_ns: float
    pods: tuple[str, ...]
    samples: pd.DataFrame

    def of(self, stream: str) -> pd.DataFrame:
        return self.samples[self.samples["stream"] == stream]

    def during(self, stream: str) -> pd.DataFrame:
        """Requests that the update could hurt: due in it, or in flight when it began."""
        rows = self.of(stream)
        met_it = (rows["end_ns"] >= self.begun_ns) & (rows["scheduled_ns"] <= self.done_ns)
        return rows[met_it]

    def afterwards(self, stream: str) -> pd.DataFrame:
        """Requests due when it was over, whose pick is known."""
        rows = self.of(stream)
        return rows[(rows["scheduled_ns"] > self.done_ns) & rows["picked_backend"].notna()]


@once_per_run
def updates(run: Run) -> tuple[Update, ...]:
    """Every trial in which an update was watched to its end."""
    return tuple(_updates(run))


def _updates(run: Run) -> Iterator[Update]:
    for trial, events in run.events.groupby("trial", sort=True):
        notes = events[events["source"] == "trial"].set_index("kind")["t_ns"]
        if BEGUN not in notes or DONE not in notes:
            continue
        begun_ns = float(notes[BEGUN])
        come = events[
            (events["source"] == "store")
            & (events["kind"] == "endpoint-ready")
            & (events["t_ns"] > begun_ns)
        ]
        names = [str(detail["pod"]).rpartition("/")[2] for detail in come["detail"]]
        samples = run.requests.only((trial,)).columns(*_READ)
        times = {name: samples[name].astype(float) for name in ("scheduled_ns", "end_ns")}
        yield Update(
            trial,
            begun_ns,
            float(notes[DONE]),
            tuple(dict.fromkeys(names)),
            samples.assign(**times),
        )


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, rollout_s; of new and of kept connections STREAM: offered_STREAM,
    failed_STREAM, lost_share_STREAM (of those that the update could hurt), and of the requests
    afterwards STREAM_cv, STREAM_last_share (of the pod that came last); kept_random_cv (what requests
    on randomly picked connections would show), loss_integral_ms.
    """
    rows = [_row(update) for update in updates(run)]
    return pd.DataFrame(rows) if rows else pd.DataFrame({"trial": []})


def _row(update: Update) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": update.trial,
        "rollout_s": (update.done_ns - update.begun_ns) / 1e9,
    }
    for name, stream in STREAMS.items():
        during = update.during(stream)
        row[f"offered_{name}"] = len(during)
        row[f"failed_{name}"] = int(failed(during).sum())
        row[f"lost_share_{name}"] = float(failed(during).mean()) if len(during) else np.nan
        row |= {f"{name}_{key}": value for key, value in _evenness(update, stream).items()}
    row["loss_integral_ms"] = row["lost_share_new"] * row["rollout_s"] * 1e3
    sizes = update.afterwards(KEPT).groupby(["client", "connection"], observed=True).size()
    row["kept_random_cv"] = expected_cv(sizes.to_numpy().astype(np.int64), len(update.pods))
    return row


def _evenness(update: Update, stream: str) -> dict[str, float]:
    shares = shares_afterwards(update, stream)
    if shares.empty:
        return {"cv": np.nan, "last_share": np.nan}
    counts = shares.to_numpy().astype(np.int64)
    return {
        "cv": evenness.coefficient_of_variation(counts),
        "last_share": float(counts[-1] / counts.sum()),
    }


def shares_afterwards(update: Update, stream: str) -> pd.Series[int]:
    """Requests per new pod when the update was over, in the order in which the pods came; empty where
    there were none.
    """
    counts = update.afterwards(stream)["picked_backend"].astype(str).value_counts()
    shares = counts.reindex(list(update.pods), fill_value=0)
    return shares if shares.sum() else shares.iloc[:0]


@once_per_run
def outcomes(run: Run) -> pd.DataFrame:
    """A row per arm and stream (new or kept connections) with counts of each outcome during updates."""
    labels = {trial: arm.label for arm in arms(run) for trial in arm.trials}
    parts = [
        update.during(stream)[["outcome"]].assign(arm=labels[update.trial], connections=name)
        for update in updates(run)
        for name, stream in STREAMS.items()
    ]
    return outcome_counts(pd.concat(parts), ["arm", "connections"]) if parts else pd.DataFrame()


@dataclass(frozen=True, slots=True)
class _Claim:
    name: str
    column: str
    asks: str
    margin: float

    def target(self, arm: Arm) -> float:
        return 1.0 / int(arm.factors["replicas"]) if self.column == "kept_last_share" else 0.0


def _claims(lost_margin: float, share_margin: float) -> tuple[_Claim, ...]:
    return (
        _Claim("no-new-lost", "lost_share_new", "is nothing lost on new connections?", lost_margin),
        _Claim("no-kept-lost", "lost_share_kept", "is nothing lost on kept ones?", lost_margin),
        _Claim(
            "last-pod-has-its-share",
            "kept_last_share",
            "has the last pod its share of the requests on kept connections?",
            share_margin,
        ),
    )


def findings(run: Run, hypothesis: str, lost_margin: float, share_margin: float) -> list[Finding]:
    """Three answers for each arm: losses on new and on kept connections, and the last pod's share."""
    table = metrics(run)
    found = []
    for arm in arms(run):
        rows = table[table["trial"].isin(arm.trials)]
        for claim in _claims(lost_margin, share_margin):
            values = _values(rows, claim.column)
            answer = decided([equivalence(values, claim.target(arm), claim.margin)])
            found.append(
                Finding(
                    question=f"{arm.label}: {claim.asks}" if arm.label else claim.asks.capitalize(),
                    hypothesis=hypothesis,
                    verdict=answer.verdict,
                    p_value=answer.p_value,
                    name=claim.name,
                    arm=arm.label,
                    figures=_figures(rows, claim, claim.target(arm)),
                    answer=_sentence(rows, claim, claim.target(arm)),
                )
            )
    return found


def _values(rows: pd.DataFrame, column: str) -> tuple[float, ...]:
    return tuple(rows[column].dropna()) if len(rows) else ()


def primaries(run: Run) -> list[Primary]:
    """The three numbers of each arm."""
    table = metrics(run)
    return [
        Primary(
            claim.name,
            arm.factors,
            _values(table[table["trial"].isin(arm.trials)], claim.column),
            level=1.0,
        )
        for arm in arms(run)
        for claim in _claims(0.0, 0.0)
    ]


def _figures(rows: pd.DataFrame, claim: _Claim, target: float) -> dict[str, Any]:
    if rows.empty:
        return {"trials": 0}
    value = over_trials(rows[claim.column].dropna())
    return {
        "trials": value.n,
        "target": target,
        "margin": claim.margin,
        claim.column: value.estimate,
        f"{claim.column}_ci95_low": value.low,
        f"{claim.column}_ci95_high": value.high,
        **{name: float(rows[name].mean()) for name in ("rollout_s", "kept_cv", "kept_random_cv")},
        **{
            name: int(rows[name].sum())
            for name in rows.columns
            if name.startswith(("offered", "failed"))
        },
    }


def _sentence(rows: pd.DataFrame, claim: _Claim, target: float) -> str:
    if rows.empty:
        return "No update was watched to its end."
    took = f"the update took {rows['rollout_s'].mean():.1f} s; n = {len(rows)} trials."
    value = over_trials(rows[claim.column].dropna())
    interval = in_words(value, ".2%", 0.0)
    if claim.column == "kept_last_share":
        return (
            f"The pod that came last got {value.estimate:.1%} of the requests on kept connections "
            f"({interval}), an equal share is {target:.1%}; {took}"
        )
    name = claim.column.removeprefix("lost_share_")
    lost, offered = int(rows[f"failed_{name}"].sum()), int(rows[f"offered_{name}"].sum())
    return f"{lost} of {offered} requests failed, {value.estimate:.2%} ({interval}); {took}"
