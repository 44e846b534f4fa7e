"""All that one trial left, and the files that say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from testbed.events import Event
from testbed.experiment.columns import LEDGER, SAMPLES
from testbed.experiment.design import Trial


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """All that one trial left: a row per request, per backend and client node, per event."""

    trial: Trial
    started_ns: int
    ended_ns: int
    samples: pd.DataFrame
    ledger: pd.DataFrame
    events: tuple[Event, ...]
    rules: Mapping[str, tuple[str, ...]]
    """Rules of each node, by its name, as they were before the first request."""
    host: Mapping[str, float | None] = field(default_factory=dict)
    """The fidelity meter's figures."""
    kernel: Mapping[str, int] = field(default_factory=dict)
    """Kernel counters of the trial: conntrack insert_failed, drop, early_drop; records lost."""
    mode: str = ""
    """The proxy's label, such as iptables-nft."""
    machine: str = ""
    """The host name of the machine that it ran on."""
    invalid: tuple[str, ...] = ()
    """Why the trial must not be used; empty: it is valid."""
    failed: bool = False
    """It did not get to its end: there is nothing to judge."""


def write_trial(folder: Path, record: TrialRecord) -> None:
    """Fill a trial's own folder: trial.json, samples, ledger, events and rules."""
    trial = record.trial
    row = {
        "trial": trial.id,
        "block": trial.block,
        "arm": trial.arm,
        "machine": record.machine,
        "attempt": trial.attempt,
        "seed": trial.seed,
        "factors": dict(trial.factors),
        "started_ns": record.started_ns,
        "ended_ns": record.ended_ns,
        "host": dict(record.host),
        "kernel": dict(record.kernel),
        "mode": record.mode,
        "invalid": list(record.invalid),
    }
    (folder / "trial.json").write_text(json.dumps(row) + "\n")
    record.samples.assign(trial=trial.id)[list(SAMPLES)].astype(SAMPLES).to_parquet(
        folder / "samples.parquet", index=False
    )
    record.ledger.assign(trial=trial.id).reindex(columns=list(LEDGER)).to_csv(
        folder / "ledger.csv", index=False
    )
    with (folder / "events.jsonl").open("w") as out:
        for event in record.events:
            out.write(json.dumps({"trial": trial.id, **event.to_json()}) + "\n")
    (folder / "rules").mkdir()
    for node, texts in record.rules.items():
        for number, text in enumerate(texts):
            (folder / "rules" / f"{node}.{number}").write_text(text)
