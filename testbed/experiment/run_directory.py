"""A run's directory: every trial whole or not at all, merged at the end into DESIGN.md's files.

A trial is written to `trials/.ID` and renamed to `trials/ID`: what has that name is complete.
`merge` gathers them and may be called at any time; a reader sees the old file or the new one.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed.errors import UsageError
from testbed.experiment.atomic import write_atomically
from testbed.experiment.design import block_id
from testbed.experiment.gathering import gather, gather_rules, trial_rows
from testbed.experiment.record import TrialRecord, write_trial
from testbed.experiment.room import room_in


class RunDirectory:
    """The files of one run. Every method that writes raises OutOfTimeOrRoom where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trials = path / "trials"

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
            write_trial(draft, record)

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
            gather(self._trials, rows, self.path)
            gather_rules(self._trials, [row["trial"] for row in rows], self.path / "rules")

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
            gather(self._trials, rows, folder)
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
