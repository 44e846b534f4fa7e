"""The phases of a failover, read off one trial's events and samples.

All times are milliseconds after t0, the instant at which the fault was effective. A phase that was
not reached is censored: its time is then the end of what was observed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.once import once_per_run
from testbed.analysis.outcomes import failed
from testbed.analysis.picks import kernel_order_ns
from testbed.analysis.run import Run
from testbed.ip import FAMILY_NAMES, family_of

Times = NDArray[np.float64]
PhaseName = Literal["detect", "withdraw", "program", "effective", "recover", "outage"]
PHASES: tuple[PhaseName, ...] = (
    "detect",
    "withdraw",
    "program",
    "effective",
    "recover",
    "outage",
)
FAULTS = ("crash", "delete", "hang", "stop-node")
HOLD_S = 5.0
"""A client has recovered when no request fails for this long."""

NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of one trial. `where` is "" for the control plane, a node, or a client's node.

    `begin_ms` to `end_ms` is an interval for `program` (the rule tool's start to its return) and
    for `outage` (the first failed request to recovery); elsewhere both are the same instant.
    """

    name: PhaseName
    where: str
    begin_ms: float
    end_ms: float
    censored: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What the phases of one trial are read from."""

    fault: str
    pods: tuple[tuple[str, str], ...]
    """(namespace/name, uid) of each pod that it hit: one, or all of a stopped node."""
    node: str
    t0_ns: float
    end_ns: float
    """End of the observation."""
    events: pd.DataFrame
    samples: pd.DataFrame
    """The columns that phases are read from, texts as categories."""

    @property
    def pod(self) -> str:
        """namespace/name of the first pod."""
        return self.pods[0][0]

    @property
    def uid(self) -> str:
        return self.pods[0][1]

    @property
    def names(self) -> frozenset[str]:
        """Of the pods, without their namespace, as samples have them."""
        return frozenset(pod.rpartition("/")[2] for pod, _ in self.pods)

    def after_t0_ms(self, t_ns: float) -> float:
        """Milliseconds after the fault."""
        return (t_ns - self.t0_ns) / NS_PER_MS


_READ = (
    *("stream", "client", "client_node", "target", "connection", "picked_backend", "outcome"),
    *("scheduled_ns", "start_ns", "resolved_ns", "picked_ns", "end_ns"),
)


def trials_of(run: Run) -> Iterator[tuple[Any, Trial]]:
    """(trial id, trial) of every trial in which a fault was recorded."""
    yield from _trials(run)


@once_per_run
def _trials(run: Run) -> tuple[tuple[Any, Trial], ...]:
    return tuple(_read_trials(run))


def _read_trials(run: Run) -> Iterator[tuple[Any, Trial]]:
    for trial, events in run.events.groupby("trial", sort=True):
        faults = events[(events["source"] == "fault") & events["kind"].isin(FAULTS)]
        if faults.empty:
            continue
        fault = faults.sort_values("t_ns").iloc[0]
        samples = run.requests.only((trial,)).columns(*_READ)
        ends = [float(events["t_ns"].max())]
        if len(samples):
            ends.append(float(samples["end_ns"].astype(float).max()))
        yield (
            trial,
            Trial(
                fault=str(fault["kind"]),
                pods=_hit(fault),
                node=str(fault["node"]),
                t0_ns=float(fault["t_ns"]),
                end_ns=max(end for end in ends if not math.isnan(end)),
                events=events.sort_values("t_ns", kind="stable"),
                samples=samples,
            ),
        )


def _hit(fault: pd.Series[Any]) -> tuple[tuple[str, str], ...]:
    detail = fault["detail"]
    if "pods" in detail:
        return tuple((str(one["pod"]), str(one["uid"])) for one in detail["pods"])
    return ((str(fault["object"]), str(detail.get("uid", ""))),)


def phases_of(trial: Trial) -> tuple[Phase, ...]:
    """Every phase of the trial: control plane, then per node, then per client's node."""
    detect = _store_write(trial, "pod-not-ready")
    withdraw = _store_write(trial, "endpoint-not-ready", _dialled_family(trial))
    # Deletion itself withdraws the endpoint: there may be nothing to detect.
    told = trial.fault == "delete" and detect is None and withdraw is not None
    return (
        *(() if told else (_instant(trial, "detect", detect),)),
        _instant(trial, "withdraw", withdraw),
        *_program(trial, withdraw),
        *_effective(trial, withdraw),
        *_recovery(trial),
    )


@once_per_run
def phase_table(run: Run) -> pd.DataFrame:
    """A row per trial and phase: trial, fault, phase, where, begin_ms, end_ms, censored."""
    columns = ("trial", "fault", "phase", "where", "begin_ms", "end_ms", "censored")
    rows = [
        (trial, what.fault, phase.name, phase.where, phase.begin_ms, phase.end_ms, phase.censored)
        for trial, what in trials_of(run)
        for phase in phases_of(what)
    ]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _dialled_family(trial: Trial) -> int | None:
    """The IP family in which the service was dialled; None where that is not one."""
    if "target" not in trial.samples.columns:
        return None
    targets = trial.samples["target"].dropna().unique()
    families = {6 if str(target).startswith("[") else 4 for target in targets}
    return families.pop() if len(families) == 1 else None


def _store_write(trial: Trial, kind: str, family: int | None = None) -> pd.Series[Any] | None:
    """The first such write about a faulty pod after the fault, or None. Of an endpoint that has an address
    in each IP family, that of `family`.
    """
    events = trial.events
    events = events[
        (events["source"] == "store") & (events["kind"] == kind) & (events["t_ns"] >= trial.t0_ns)
    ]
    for _, event in events.iterrows():
        if family and family_of(event["detail"].get("pod_ip", "")) != family:
            continue
        if _is_about(event, trial):
            return event
    return None


def _is_about(event: pd.Series[Any], trial: Trial) -> bool:
    """A replacement may take the pod's name: its uid tells it apart wherever both are known."""
    detail = event["detail"]
    uid, names = str(detail.get("uid", "")), (event["object"], detail.get("pod"))
    return any(uid == own if uid and own else pod in names for pod, own in trial.pods)


def _instant(trial: Trial, name: PhaseName, event: pd.Series[Any] | None) -> Phase:
    if event is None:
        end = trial.after_t0_ms(trial.end_ns)
        return Phase(name, "", end, end, censored=True)
    at = trial.after_t0_ms(float(event["t_ns"]))
    return Phase(name, "", at, at)


def _program(trial: Trial, withdraw: pd.Series[Any] | None) -> Iterator[Phase]:
    """Per node that runs, its first successful sync of a state that lacks the endpoint, in the endpoint's
    IP family: each family has a proxy of its own.
    """
    syncs = trial.events[(trial.events["source"] == "proxy") & (trial.events["kind"] == "sync")]
    if trial.fault == "stop-node":
        syncs = syncs[syncs["node"] != trial.node]
    if withdraw is not None:
        family = FAMILY_NAMES[family_of(withdraw["detail"]["pod_ip"])]
        # By .loc: an empty list would name no columns, where somebody else's proxy has no syncs.
        syncs = syncs.loc[[one.get("ip_family", family) == family for one in syncs["detail"]]]
    censored_at = trial.after_t0_ms(trial.end_ns)
    for node, rows in syncs.groupby("node", sort=True):
        done = None
        if withdraw is not None:
            late = rows.loc[rows["resource_version"] >= withdraw["resource_version"], "detail"]
            done = next((detail for detail in late if not detail.get("error")), None)
        if done is None:
            yield Phase("program", str(node), censored_at, censored_at, censored=True)
        else:
            begin, end = (trial.after_t0_ms(float(done[key])) for key in ("start_ns", "end_ns"))
            yield Phase("program", str(node), begin, end)


def _effective(trial: Trial, withdraw: pd.Series[Any] | None) -> Iterator[Phase]:
    """Per client node, its kernel's last new entry to a faulty pod, before a pod of that name is an
    endpoint again. Nodes without such an entry after the fault have none: nothing was observed.
    """
    if trial.samples.empty:
        return
    samples = trial.samples[trial.samples["picked_backend"].isin(trial.names)]
    if "stream" in samples.columns:
        samples = samples[samples["stream"] != "control"]
    samples = samples.assign(entry_ns=kernel_order_ns(samples))
    # A connection makes one entry, whatever number of requests it carries.
    entries = samples.sort_values("entry_ns").drop_duplicates(["client", "connection"])
    after = entries[
        (entries["entry_ns"] >= trial.t0_ns)
        & (entries["entry_ns"] < _back_again_ns(trial, withdraw))
    ]
    for node, rows in after.groupby("client_node", sort=True):
        last = trial.after_t0_ms(float(rows["entry_ns"].max()))
        yield Phase("effective", str(node), last, last, censored=withdraw is None)


def _back_again_ns(trial: Trial, withdraw: pd.Series[Any] | None) -> float:
    """When a pod of the same name (restarted, or its replacement) became an endpoint again."""
    if withdraw is None:
        return math.inf
    again = trial.events[
        (trial.events["source"] == "store")
        & (trial.events["kind"] == "endpoint-ready")
        & (trial.events["t_ns"] > withdraw["t_ns"])
    ]
    for t_ns, detail in zip(again["t_ns"], again["detail"], strict=True):
        if str(detail.get("pod", "")).rpartition("/")[2] in trial.names:
            return float(t_ns)
    return math.inf


def _recovery(trial: Trial, hold_s: float = HOLD_S) -> Iterator[Phase]:
    """Per client's node, recovery and error window on its stream of new connections.

    A stream that began after the fault did not see when failures began: it gives neither.
    """
    if "stream" not in trial.samples.columns:
        return
    outage = trial.samples[trial.samples["stream"] == "outage"]
    for node, rows in outage.groupby("client_node", sort=True):
        after = rows[rows["scheduled_ns"] >= trial.t0_ns].sort_values("scheduled_ns")
        if after.empty or len(after) == len(rows):
            continue
        yield from recovery(trial, str(node), after, hold_s)


def recovery(trial: Trial, where: str, after: pd.DataFrame, hold_s: float) -> tuple[Phase, Phase]:
    """`recover` and `outage` of one client; `after`: its requests since t0, in scheduled order."""
    times = after["scheduled_ns"].to_numpy(dtype=np.float64)
    bad = times[failed(after).to_numpy()]
    last_seen = float(times[-1])
    if not bad.size:
        first = trial.after_t0_ms(float(times[0]))
        return Phase("recover", where, first, first), Phase("outage", where, first, first)
    began = trial.after_t0_ms(float(bad[0]))
    at = _first_quiet_ns(times, bad, hold_s * 1e9)
    over = trial.after_t0_ms(last_seen if at is None else at)
    return (
        Phase("recover", where, over, over, censored=at is None),
        Phase("outage", where, min(began, over), over, censored=at is None),
    )


def _first_quiet_ns(times: Times, bad: Times, hold_ns: float) -> float | None:
    """The first request that did not fail and after which none fails for `hold_ns`; None: none was
    watched for so long.
    """
    good = np.setdiff1d(times, bad)
    next_bad = np.append(bad, np.inf)[np.searchsorted(bad, good)]
    quiet = good[np.minimum(next_bad, times[-1]) - good >= hold_ns]
    return float(quiet[0]) if quiet.size else None
