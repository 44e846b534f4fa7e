"""A run's directory: every trial whole or not at all, merged at the end into DESIGN.md's files.

A trial is written to `trials/.ID` and renamed to `trials/ID`: what has that name is complete.
`merge` gathers them and may be called at any time; a reader sees the old file or the new one.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.events import Event
from testbed.experiment.columns import LEDGER, SAMPLES
from testbed.experiment.design import Trial, block_id

_COUNTERS = re.compile(r"\[\d+:\d+\]$")  # iptables-save: of a chain's policy, packets and bytes
MIN_FREE_BYTES = 8 << 20
"""Room asked for before each trial: several times what 100,000 requests take."""


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


def new_run(root: Path, experiment: str, seed: int, now: datetime | None = None) -> Path:
    """Make `root/experiment/RUN`; RUN is the UTC time and the seed.

    Raises OutOfTimeOrRoom where it cannot be written.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    parent = root / experiment
    with room_in(root):
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100):
            name = f"{stamp}-{seed}" + (f"-{number}" if number > 1 else "")
            try:
                (parent / name).mkdir()
            except FileExistsError:
                continue
            _prove_writable(parent / name)
            return parent / name
    raise OutOfTimeOrRoom(f"{parent} already has 99 runs of this second")


def find_run(root: Path, run: str, experiment: str = "") -> Path:
    """The directory of a run given as a path or as RUN. Raises NotFound or UsageError."""
    if (Path(run) / "run.json").is_file():
        return Path(run)
    found = sorted(path.parent for path in root.glob(f"{experiment or '*'}/{run}/run.json"))
    if not found:
        raise NotFound(f"no run {run} in {root}", "name it as results/EXPERIMENT/RUN")
    if len(found) > 1:
        raise UsageError(f"{run} is the name of {len(found)} runs", f"write {found[0]}")
    return found[0]


@contextmanager
def room_in(where: Path) -> Iterator[None]:
    """Says where there is no room, instead of an OSError. Raises OutOfTimeOrRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfTimeOrRoom(f"no room left in {where}", "free some, or choose -d") from error
        raise OutOfTimeOrRoom(
            f"cannot write results in {where}: {error.strerror}", "choose another folder with -d"
        ) from error


def _prove_writable(directory: Path) -> None:
    """A full or read-only file system is found before the first lab, by writing a block."""
    probe = directory / ".probe"
    with probe.open("wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    probe.unlink()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new file, which then takes the place of `path`."""
    draft = path.with_name(f".{path.name}")
    try:
        write(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class RunDirectory:
    """The files of one run. Every method that writes raises OutOfTimeOrRoom where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trials = path / "trials"

    def require_room(self) -> None:
        """Raises OutOfTimeOrRoom unless a trial can be expected to fit."""
        with room_in(self.path):
            free = shutil.disk_usage(self.path).free
        if free < MIN_FREE_BYTES:
            raise OutOfTimeOrRoom(
                f"{self.path} has {free / 2**20:.1f} MiB left, a trial may need "
                f"{MIN_FREE_BYTES >> 20} MiB",
                "free some room, or choose -d",
            )

    def meta(self) -> dict[str, Any]:
        """`run.json`. Raises UsageError where it cannot be read."""
        try:
            stored: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path / 'run.json'} cannot be read: {error}") from error
        return stored

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        """Replace `run.json`."""
        text = json.dumps(meta, indent=2, ensure_ascii=False) + "\n"
        with room_in(self.path):
            write_atomically(self.path / "run.json", lambda path: path.write_text(text))

    def store(self, record: TrialRecord) -> None:
        """Write a trial, whole or not at all."""
        with self._whole(record.trial.id) as draft:
            _write_trial(draft, record)

    @contextmanager
    def _whole(self, trial: str) -> Iterator[Path]:
        """A trial's folder while it is filled."""
        draft = self._trials / f".{trial}"
        with room_in(self.path):
            shutil.rmtree(draft, ignore_errors=True)
            try:
                draft.mkdir(parents=True)
                yield draft
                draft.replace(self._trials / trial)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise

    def files(self) -> dict[str, dict[str, bytes]]:
        """All stored trials in the order in which they ran, each as its files."""
        folders = {row["trial"]: self._trials / row["trial"] for row in self._stored()}
        return {
            trial: {
                str(path.relative_to(folder)): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
            for trial, folder in folders.items()
        }

    def take_in(self, trial: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Store a trial that ran elsewhere, whole or not at all; returns its trial.json."""
        with self._whole(trial) as draft:
            (draft / "rules").mkdir()
            for name, content in files.items():
                (draft / name).write_bytes(content)
        row: dict[str, Any] = json.loads(files["trial.json"])
        return row

    def finished(self) -> dict[str, tuple[str, ...]]:
        """Trials stored so far by id, each with the reasons that make it invalid."""
        return {row["trial"]: tuple(row["invalid"]) for row in self._stored()}

    def elsewhere(self, machine: str) -> dict[str, tuple[int, int, str]]:
        """Blocks without an invalid trial that ran on other machines: number, attempt and machine, by id."""
        rows = self._stored()
        bad = {(row["block"], row["attempt"]) for row in rows if row["invalid"]}
        return {
            block_id(row["block"], row["attempt"]): (row["block"], row["attempt"], row["machine"])
            for row in rows
            if row.get("machine", machine) != machine and (row["block"], row["attempt"]) not in bad
        }

    def rows(self) -> list[dict[str, Any]]:
        """The rows of trials.csv as they stand."""
        return trial_rows(self._stored())

    def merged_rows(self) -> list[dict[str, str]]:
        """The rows of trials.csv as they were written."""
        with (self.path / "trials.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def mode(self) -> str:
        """The proxy's label in the trials so far; "" before the first. Arms may differ: `a, b`."""
        return ", ".join(sorted({row["mode"] for row in self._stored() if row["mode"]}))

    def merge(self) -> None:
        """Gather the stored trials into the files that DESIGN.md names."""
        rows = self._stored()
        if not rows:
            return
        with room_in(self.path):
            self._gather(rows, self.path)
            self._gather_rules([row["trial"] for row in rows])

    def _gather(self, rows: Sequence[dict[str, Any]], into: Path) -> None:
        """All tables but the rules."""
        ids = [row["trial"] for row in rows]
        table = pd.DataFrame(trial_rows(rows))
        write_atomically(into / "trials.csv", lambda path: table.to_csv(path, index=False))
        write_atomically(into / "ledger.csv", lambda path: self._join_csv(path, ids))
        write_atomically(into / "events.jsonl", lambda path: self._join_text(path, ids))
        write_atomically(into / "samples.parquet", lambda path: self._join(path, ids))

    @contextmanager
    def block(self, number: int) -> Iterator[Path | None]:
        """A folder that holds the valid trials of one block, as a run, as long as it is needed; None where
        the block has none.
        """
        stored = [row for row in self._stored() if row["block"] == number]
        bad = {row["attempt"] for row in stored if row["invalid"]}
        rows = [row for row in stored if row["attempt"] not in bad]
        if not rows:
            yield None
            return
        with room_in(self.path), TemporaryDirectory(dir=self.path, prefix=".block-") as name:
            folder = Path(name)
            self._gather(rows, folder)
            (folder / "run.json").write_text(json.dumps(self.meta()))
            yield folder

    def remove_parts(self) -> None:
        """Forget the single trials of a merged run that needs no more of them."""
        shutil.rmtree(self._trials, ignore_errors=True)

    def _stored(self) -> list[dict[str, Any]]:
        files = self._trials.glob("*/trial.json")
        rows = [json.loads(file.read_text()) for file in files if file.parent.name[0] != "."]
        # Not by time alone: a run may be resumed after a reboot, when the clock starts at 0 again.
        return sorted(rows, key=lambda row: (row["block"], row["attempt"], row["started_ns"]))

    def _join(self, path: Path, ids: Sequence[str]) -> None:
        """One row group per trial: a long run is never held in memory as a whole."""
        from pyarrow import parquet

        first = parquet.read_schema(self._trials / ids[0] / "samples.parquet")
        with parquet.ParquetWriter(path, first) as writer:
            for trial in ids:
                part = parquet.read_table(self._trials / trial / "samples.parquet", schema=first)
                writer.write_table(part.replace_schema_metadata(first.metadata))

    def _join_csv(self, path: Path, ids: Sequence[str]) -> None:
        parts = [pd.read_csv(self._trials / trial / "ledger.csv") for trial in ids]
        pd.concat([part for part in parts if len(part)] or parts[:1]).to_csv(path, index=False)

    def _join_text(self, path: Path, ids: Sequence[str]) -> None:
        with path.open("wb") as out:
            for trial in ids:
                out.write((self._trials / trial / "events.jsonl").read_bytes())

    def _gather_rules(self, ids: Sequence[str]) -> None:
        """Each configuration once, as NODE-HASH.rules; index.json says which trial had which, in turn."""
        folder = self.path / "rules"
        folder.mkdir(exist_ok=True)
        index: dict[str, dict[str, list[str]]] = {}
        for trial in ids:
            for file in sorted((self._trials / trial / "rules").glob("*")):
                digest = hashlib.sha256(configured(file.read_text()).encode()).hexdigest()[:8]
                name = f"{file.stem}-{digest}.rules"
                if not (folder / name).exists():
                    write_atomically(folder / name, partial(shutil.copyfile, file))
                had = index.setdefault(trial, {}).setdefault(file.stem, [])
                if name not in had[-1:]:
                    had.append(name)
        text = json.dumps(index, indent=2) + "\n"
        write_atomically(folder / "index.json", lambda path: path.write_text(text))


def configured(rules: str) -> str:
    """What a node is told to do: its rules without the hour of printing and the packets counted."""
    lines = (line for line in rules.splitlines() if not line.startswith("#"))
    return "\n".join(_COUNTERS.sub("[0:0]", line) for line in lines)


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


def _write_trial(folder: Path, record: TrialRecord) -> None:
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
