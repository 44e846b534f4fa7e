"""Trials that are stored one by one, gathered into the tables of a run."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from testbed.experiment.atomic import write_atomically
from testbed.experiment.design import block_id

_COUNTERS = re.compile(r"\[\d+:\d+\]$")  # iptables-save: of a chain's policy, packets and bytes


def gather(trials: Path, rows: Sequence[dict[str, Any]], into: Path) -> None:
    """Write all tables but the rules, from the folders of single trials."""
    ids = [row["trial"] for row in rows]
    table = pd.DataFrame(trial_rows(rows))
    write_atomically(into / "trials.csv", lambda path: table.to_csv(path, index=False))
    write_atomically(into / "ledger.csv", lambda path: _join_csv(path, trials, ids))
    write_atomically(into / "events.jsonl", lambda path: _join_text(path, trials, ids))
    write_atomically(into / "samples.parquet", lambda path: _join_parquet(path, trials, ids))


def gather_rules(trials: Path, ids: Sequence[str], folder: Path) -> None:
    """Each configuration once, as NODE-HASH.rules; index.json says which trial had which, in turn."""
    folder.mkdir(exist_ok=True)
    index: dict[str, dict[str, list[str]]] = {}
    for trial in ids:
        for file in sorted((trials / trial / "rules").glob("*")):
            digest = hashlib.sha256(configured(file.read_text()).encode()).hexdigest()[:8]
            name = f"{file.stem}-{digest}.rules"
            if not (folder / name).exists():
                write_atomically(folder / name, partial(shutil.copyfile, file))
            had = index.setdefault(trial, {}).setdefault(file.stem, [])
            if name not in had[-1:]:
                had.append(name)
    text = json.dumps(index, indent=2) + "\n"
    write_atomically(folder / "index.json", lambda path: path.write_text(text))


def trial_rows(stored: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of trials.csv, in the order in which the trials ran.

    One invalid trial drops its block: the others of that attempt are invalid with it. A rerun is a
    block of its own (`b03-r1`), whole or dropped like any other.
    """
    blamed: dict[tuple[int, int], str] = {}
    for row in stored:
        if row["invalid"]:
            blamed.setdefault((row["block"], row["attempt"]), row["trial"])
    rows = []
    for row in stored:
        blame = blamed.get((row["block"], row["attempt"]))
        reasons = row["invalid"] or ([f"its block was dropped for {blame}"] if blame else [])
        rows.append(
            {
                "trial": row["trial"],
                "block": block_id(row["block"], row["attempt"]),
                "arm": row["arm"],
                "machine": row.get("machine", ""),
                "seed": row["seed"],
                **row["factors"],
                "started_ns": row["started_ns"],
                "elapsed_s": (row["ended_ns"] - row["started_ns"]) / 1e9,
                **row["host"],
                **row["kernel"],
                "mode": row["mode"],
                "valid": not reasons,
                "invalid_reason": "; ".join(reasons),
            }
        )
    return rows


def configured(rules: str) -> str:
    """What a node is told to do: its rules without the hour of printing and the packets counted."""
    lines = (line for line in rules.splitlines() if not line.startswith("#"))
    return "\n".join(_COUNTERS.sub("[0:0]", line) for line in lines)


def _join_parquet(path: Path, trials: Path, ids: Sequence[str]) -> None:
    """One row group per trial: a long run is never held in memory as a whole."""
    from pyarrow import parquet

    first = parquet.read_schema(trials / ids[0] / "samples.parquet")
    with parquet.ParquetWriter(path, first) as writer:
        for trial in ids:
            part = parquet.read_table(trials / trial / "samples.parquet", schema=first)
            writer.write_table(part.replace_schema_metadata(first.metadata))


def _join_csv(path: Path, trials: Path, ids: Sequence[str]) -> None:
    parts = [pd.read_csv(trials / trial / "ledger.csv") for trial in ids]
    pd.concat([part for part in parts if len(part)] or parts[:1]).to_csv(path, index=False)


def _join_text(path: Path, trials: Path, ids: Sequence[str]) -> None:
    with path.open("wb") as out:
        for trial in ids:
            out.write((trials / trial / "events.jsonl").read_bytes())
