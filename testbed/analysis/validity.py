"""Whether a trial may count: what the ledger, the counters and the control stream say.

Limits are judged on host signals and on the direct-to-pod control, never on lag the subject causes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.experiment.design import SMOKE
from testbed.experiment.fidelity import control_lag_p99_ms
from testbed.experiment.record import TrialRecord

COUNTERS = ("insert_failed", "drop", "early_drop")
"""conntrack's: above zero, connections were lost or forgotten that no backend ever saw."""

ANSWERED = ("accepted", "backlog", "refused", "unanswered", "censored")
"""What the kernel's entries must add up to."""
SMOKE_LAG_MS = 250.0
"""A smoke run's limit in place of `Limits.control_lag_p99_ms`."""
SMOKE_STEAL_SHARE = 0.5
"""The same for `Limits.steal_share`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Above these a trial does not count."""

    control_lag_p99_ms: float = 20.0
    """How late the generator was against its own schedule, on the direct-to-pod control."""
    censored_share: float = 0.02
    """Requests still in flight at the end."""
    steal_share: float = 0.05
    """CPU time that the hypervisor took; the column `steal_share` of trials.csv."""
    softnet_dropped: float = 0
    """Packets for which a CPU's backlog had no room: every stream's, the control's too."""
    conntrack_fill_share: float = 0.9
    """Of a node's connection table: a full one forgets connections."""


def limits_of(timing: bool, profile: str) -> Limits:
    """The limits of an experiment in a profile: who is kept from the CPU spoils times, not picks, and a smoke
    run, which is not for citation, must get by on a busy machine.
    """
    if not timing:
        return Limits(control_lag_p99_ms=math.inf, steal_share=math.inf, softnet_dropped=math.inf)
    if profile == SMOKE:
        return Limits(control_lag_p99_ms=SMOKE_LAG_MS, steal_share=SMOKE_STEAL_SHARE)
    return Limits()


def judged(record: TrialRecord, limits: Limits) -> tuple[str, ...]:
    """Why a trial that has just ended does not count; empty: it does."""
    lost = [
        f"{count} {what} were lost"
        for key, what in (("records_lost", "conntrack events"), ("accepts_lost", "accept records"))
        if (count := record.kernel.get(key, 0))
    ]
    faults = [event.t_ns for event in record.events if event.source == "fault"]
    counters = {**record.host, **record.kernel}
    found = reasons(record.samples, record.ledger, counters, limits, min(faults, default=None))
    return (*lost, *found)


def residuals(ledger: pd.DataFrame) -> pd.DataFrame:
    """The ledger with `residual`: kernel entries that nobody accounts for; right is 0."""
    accounted = ledger[list(ANSWERED)].fillna(0).sum(axis=1)
    return ledger.assign(residual=ledger["kernel"].fillna(0) - accounted)


def reasons(
    samples: pd.DataFrame,
    ledger: pd.DataFrame,
    counters: Mapping[str, Any],
    limits: Limits | None = None,
    fault_ns: float | None = None,
) -> tuple[str, ...]:
    """Why one trial does not count; empty: it does.

    `counters` are its host signals by name, `fault_ns` when its fault was effective, if it had one.
    """
    bounds = limits or Limits()
    found = [*_ledger_reasons(ledger), *_counter_reasons(counters)]
    if fault_ns is not None:
        found += _coverage_reasons(samples, fault_ns)
    if (steal := _counter(counters, "steal_share")) > bounds.steal_share:
        found.append(f"the hypervisor took {steal:.1%} of the CPU")
    if (dropped := _counter(counters, "softnet_dropped")) > bounds.softnet_dropped:
        found.append(f"the kernel dropped {dropped:g} packets that a CPU's backlog had no room for")
    if (fill := _counter(counters, "conntrack_fill_share")) > bounds.conntrack_fill_share:
        found.append(f"a node's connection table was {fill:.0%} full")
    local = int((samples["outcome"] == "client_error").sum()) if len(samples) else 0
    if local:
        found.append(f"{local} requests failed in the client itself (EADDRNOTAVAIL)")
    if len(samples):
        censored = float((samples["outcome"] == "censored").mean())
        if censored > bounds.censored_share:
            found.append(f"{censored:.1%} of the requests were still in flight at the end")
    lag_ms = control_lag_p99_ms(samples)
    if lag_ms is not None and lag_ms > bounds.control_lag_p99_ms:
        found.append(f"the generator was late: p99 {lag_ms:.1f} ms on the control stream")
    return tuple(found)


def _ledger_reasons(ledger: pd.DataFrame) -> list[str]:
    rows = residuals(ledger)
    return [
        f"ledger of {row.backend} from {row.client_node}: residual {row.residual:+g}"
        for row in rows[rows["residual"] != 0].itertuples()
    ]


def _counter_reasons(counters: Mapping[str, Any]) -> list[str]:
    return [
        f"conntrack {name} rose by {value:g}"
        for name in COUNTERS
        for key in (name, f"conntrack_{name}")
        if (value := _counter(counters, key)) > 0
    ]


def _counter(counters: Mapping[str, Any], name: str) -> float:
    """0 where this kernel does not keep it."""
    return float(counters.get(name) or 0)


def _coverage_reasons(samples: pd.DataFrame, fault_ns: float) -> list[str]:
    """A stream that began after the fault cannot tell how long the outage was."""
    if "stream" not in samples.columns:
        return []
    begins = samples.groupby(["stream", "client_node"])["scheduled_ns"].min().dropna()
    late_ms = (begins.astype(float) - fault_ns) / 1e6
    return [
        f"stream {row['stream']} of {row['client_node']} began {row['late']:.0f} ms after the fault"
        for row in late_ms.rename("late").reset_index().to_dict("records")
        if row["stream"] in ("outage", "kept") and row["late"] > 0
    ]
