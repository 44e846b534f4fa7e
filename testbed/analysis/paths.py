"""Ways between pods against two plain namespaces: what a trial of `paths` noted, as ratios.

Each round of a trial measures every way once, the plain one among them; a trial's number is the geometric
mean over its rounds of the way's value over the plain one's in the same round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import Interval, over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic.paths import PLAIN

NOTE = "paths"
"""The kind of the note that holds a trial's rows."""
NEAR, FAR, HAIRPIN = "near", "far", "hairpin"
"""Routes: to a pod on the client's node, on another node, and back to the client."""
POD, CLUSTER, NODE_PORT = "pod", "cluster", "node-port"
"""What is dialled: the pod's own address, or a service's."""
WAYS = (
    *(f"{route}/{dialled}" for route in (NEAR, FAR) for dialled in (POD, CLUSTER, NODE_PORT)),
    f"{HAIRPIN}/{CLUSTER}",
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the trials' rows; `over_plain` says how the ratio to the plain way is called."""

    column: str
    title: str
    over_plain: str


MEASURES = (
    Measure("first_us", "a connection's first packet", "first_packet_over_plain"),
    Measure("packet_us", "a later packet", "later_packet_over_plain"),
    Measure("throughput_bps", "throughput of one stream", "throughput_over_plain"),
)
FIRST, LATER, THROUGHPUT = MEASURES


@dataclass(frozen=True, slots=True)
class _Claim:
    name: str
    measure: Measure
    asks: str


CLAIMS = (
    _Claim(
        "same-later-packets", LATER, "do later packets take as long by the service as straight?"
    ),
    _Claim(
        "same-throughput", THROUGHPUT, "does a stream carry as much by the service as straight?"
    ),
)
COMPARED = tuple(
    (f"{route}/{dialled}", f"{route}/{POD}")
    for route in (NEAR, FAR)
    for dialled in (CLUSTER, NODE_PORT)
)
"""(by way of a service, straight to the pod): the same two pods."""


@once_per_run
def rounds(run: Run) -> pd.DataFrame:
    """A row per trial, round and way (plain among them): trial, round, path, first_us, packet_us,
    throughput_bps, retransmits.
    """
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    table = pd.DataFrame(
        [
            {"trial": trial, **row}
            for trial, detail in zip(notes["trial"], notes["detail"], strict=True)
            for row in detail["rows"]
        ]
    )
    if table.empty:
        columns = ("trial", "round", "path", "throughput_bps", FIRST.column, LATER.column)
        return pd.DataFrame(columns=pd.Index(columns))
    return table.assign(throughput_bps=table["bytes"] * 8e9 / table["elapsed_ns"])


@once_per_run
def ratios(run: Run, measure: Measure) -> pd.DataFrame:
    """A row per trial, a column per way: its value over the plain one's of the same round, the geometric
    mean over rounds. Indexed by trial.
    """
    wide = rounds(run).pivot_table(index=["trial", "round"], columns="path", values=measure.column)
    if PLAIN not in wide.columns:
        return pd.DataFrame(columns=pd.Index(WAYS))
    logs = wide.drop(columns=PLAIN).div(wide[PLAIN], axis=0).map(math.log)
    return logs.groupby("trial").mean().map(math.exp)


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, of each way its three ratios (`far_pod_throughput_over_plain`, …), and the
    plain pair's own first_us, packet_us and gbps.
    """
    parts = []
    for measure in MEASURES:
        table = ratios(run, measure)
        names = {way: f"{_word(way)}_{measure.over_plain}" for way in table.columns}
        parts.append(table.rename(columns=names))
    table = rounds(run)
    plain = table[table["path"] == PLAIN].groupby("trial")
    own = pd.DataFrame(
        {
            "plain_first_packet_us": plain[FIRST.column].median(),
            "plain_later_packet_us": plain[LATER.column].median(),
            "plain_throughput_bps": plain[THROUGHPUT.column].median(),
        }
    )
    return pd.concat([*parts, own], axis=1).rename_axis("trial").reset_index()


def _word(way: str) -> str:
    return way.replace("/", "_").replace("-", "_")


def of_arm(run: Run, arm: Arm, measure: Measure, way: str) -> Interval:
    """A way's ratio to the plain one, over an arm's trials."""
    table = ratios(run, measure)
    if way not in table.columns:
        return over_trials([])
    return over_trials(table[table.index.isin(arm.trials)][way].dropna(), scale="log")


def service_over_pod(run: Run, arm: Arm, measure: Measure, pair: tuple[str, str]) -> list[float]:
    """One number per trial: the logarithm of the value by way of the service over that straight to the pod."""
    table = ratios(run, measure)
    if not set(pair) <= set(table.columns):
        return []
    rows = table[table.index.isin(arm.trials)]
    return [math.log(ratio) for ratio in (rows[pair[0]] / rows[pair[1]]).dropna()]


def findings(run: Run, hypothesis: str, margin: float) -> list[Finding]:
    """Two answers for each arm: later packets, and throughput. `margin` is one of logarithms."""
    return [_finding(run, arm, claim, hypothesis, margin) for arm in arms(run) for claim in CLAIMS]


def _finding(run: Run, arm: Arm, claim: _Claim, hypothesis: str, margin: float) -> Finding:
    values = {pair: service_over_pod(run, arm, claim.measure, pair) for pair in COMPARED}
    answer = decided([equivalence(one, 0.0, margin) for one in values.values()])
    shown = {pair: over_trials(np.exp(one), scale="log") for pair, one in values.items()}
    figures: dict[str, Any] = {
        "trials": min((one.n for one in shown.values()), default=0),
        "margin": float(np.exp(margin) - 1),
    }
    for (way, _), interval in shown.items():
        figures |= _limits(f"{_word(way)}_over_pod", interval)
    figures |= _limits(
        f"far_pod_{claim.measure.over_plain}", of_arm(run, arm, claim.measure, f"{FAR}/{POD}")
    )
    return Finding(
        question=f"{arm.label}: {claim.asks}" if arm.label else claim.asks.capitalize(),
        hypothesis=hypothesis,
        verdict=answer.verdict,
        figures=figures,
        answer=_sentence(claim, shown, figures),
        name=claim.name,
        arm=arm.label,
        p_value=answer.p_value,
    )


def _limits(name: str, interval: Interval) -> dict[str, Any]:
    low, high = interval.low, interval.high
    return {name: interval.estimate, f"{name}_ci95_low": low, f"{name}_ci95_high": high}


def _sentence(
    claim: _Claim, shown: dict[tuple[str, str], Interval], figures: dict[str, Any]
) -> str:
    if not figures["trials"]:
        return "No trial measured it."
    ways = "; ".join(
        f"{pair[0]} {interval.estimate - 1:+.1%}{_between(interval)}"
        for pair, interval in shown.items()
    )
    plain = figures[f"far_pod_{claim.measure.over_plain}"]
    return (
        f"{claim.measure.title[:1].upper()}{claim.measure.title[1:]}, against the pod's own address: "
        f"{ways}. Between pods on two nodes it is {plain:.3g} times that of two plain namespaces; "
        f"n = {figures['trials']} trials."
    )


def _between(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f" ({interval.low - 1:+.1%} to {interval.high - 1:+.1%})"


def primaries(run: Run) -> list[Primary]:
    """What the verdicts are about: the ratio of each service way to the pod's own address."""
    return [
        Primary(
            claim.name,
            arm.factors,
            tuple(np.exp(service_over_pod(run, arm, claim.measure, pair))),
            scale="log",
            detail=pair[0],
        )
        for arm in arms(run)
        for claim in CLAIMS
        for pair in COMPARED
    ]


def shown_ways(run: Run) -> Sequence[str]:
    """The ways that a run measured, in the order of `WAYS`."""
    known = set(rounds(run)["path"])
    return [way for way in WAYS if way in known]
