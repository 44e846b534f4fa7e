"""A run's directory: trials whole or not at all, merged into the files of DESIGN.md."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.run import load_run
from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.experiment.columns import LEDGER, SAMPLES
from testbed.experiment.gathering import trial_rows
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.runs import find_run, new_run
from tests.unit.experiment.records import record, trial

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A new run of the experiment `example`."""
    made = RunDirectory(new_run(tmp_path, "example", 7, NOON))
    made.write_meta({"experiment": "example"})
    return made


def test_a_run_is_named_after_its_time_and_seed(tmp_path: Path) -> None:
    assert new_run(tmp_path, "example", 7, NOON) == tmp_path / "example/20260102T120000Z-7"
    assert new_run(tmp_path, "example", 7, NOON).name == "20260102T120000Z-7-2"


def test_stored_trials_become_the_files_of_the_contract(directory: RunDirectory) -> None:
    directory.store(record(trial(0, 1)))
    directory.store(record(trial(0, 0), requests=0))
    directory.merge()
    run = load_run(directory.path)
    assert list(run.trials["trial"]) == ["b00-a0", "b00-a1"]
    assert list(run.trials["replicas"]) == [1, 2]
    assert run.trials["valid"].all()
    assert list(run.trials["elapsed_s"]) == [5e-7, 5e-7]
    assert tuple(run.samples.columns) == tuple(SAMPLES)
    assert dict(run.samples["trial"].value_counts()) == {"b00-a1": 3}
    assert tuple(run.ledger.columns) == LEDGER
    assert list(run.events["kind"]) == ["crash", "crash"]
    assert run.events["detail"].iloc[0] == {"uid": "u"}


def test_equal_rules_are_kept_once_and_the_index_says_who_had_them(directory: RunDirectory) -> None:
    directory.store(record(trial(0, 0)))
    directory.store(record(trial(0, 1)))
    directory.merge()
    index = json.loads((directory.path / "rules/index.json").read_text())
    assert len(list((directory.path / "rules").glob("*.rules"))) == 2  # one a node
    assert index["b00-a0"] == index["b00-a1"]
    assert (directory.path / "rules" / index["b00-a0"]["n1"][0]).read_text() == "*nat\nCOMMIT\n"


def test_rules_that_differ_only_in_when_they_were_printed_are_equal(
    directory: RunDirectory,
) -> None:
    for block, when, counted in ((0, "04:17:14", "[2:68]"), (1, "04:17:15", "[73:5658]")):
        text = f"# Generated on {when}\n*nat\n:INPUT ACCEPT {counted}\nCOMMIT\n"
        directory.store(replace(record(trial(block, 0)), rules={"n1": (text,)}))
    other = "*nat\n:INPUT DROP [0:0]\nCOMMIT\n"
    directory.store(replace(record(trial(2, 0)), rules={"n1": (text, other)}))
    directory.merge()
    index = json.loads((directory.path / "rules/index.json").read_text())
    first = index["b00-a0"]["n1"]
    assert index["b01-a0"]["n1"] == first
    assert len(first) == 1
    assert index["b02-a0"]["n1"][0] == first[0] != index["b02-a0"]["n1"][1]
    assert len(list((directory.path / "rules").glob("*.rules"))) == 2


def test_a_trial_that_cannot_be_written_leaves_nothing(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    directory.store(record(trial(0, 0)))
    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OutOfTimeOrRoom, match="no room left"):
        directory.store(record(trial(0, 1)))
    assert directory.finished() == {"b00-a0": ()}
    assert [path.name for path in (directory.path / "trials").iterdir()] == ["b00-a0"]


def test_a_merge_that_fails_keeps_the_files_that_were_there(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.store(record(trial(0, 0)))
    directory.merge()
    before = (directory.path / "trials.csv").read_text()
    directory.store(record(trial(0, 1)))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OutOfTimeOrRoom):
        directory.merge()
    assert (directory.path / "trials.csv").read_text() == before
    assert not list(directory.path.glob(".*"))


@pytest.mark.parametrize(
    "make",
    [
        lambda base: ((base / "file").write_text("") and None) or base / "file",
        lambda base: base / "file" / "below",
    ],
    ids=["a file in the way", "a folder under a file"],
)
def test_results_that_cannot_be_written_are_found_at_once(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutOfTimeOrRoom, match="cannot write results"):
        new_run(make(tmp_path), "example", 7)


def test_an_invalid_trial_drops_its_block_and_only_that() -> None:
    def row(block: int, arm: int, attempt: int, invalid: list[str]) -> dict[str, object]:
        one = trial(block, arm, attempt)
        return {
            "trial": one.id,
            "block": block,
            "arm": arm,
            "attempt": attempt,
            "seed": 1,
            "factors": {},
            "started_ns": 0,
            "ended_ns": 1,
            "host": {},
            "kernel": {},
            "mode": "",
            "invalid": invalid,
        }

    stored = [row(0, 0, 0, []), row(0, 1, 0, ["steal"]), row(0, 0, 1, []), row(1, 0, 0, [])]
    assert [(row["block"], row["valid"], row["invalid_reason"]) for row in trial_rows(stored)] == [
        ("b00", False, "its block was dropped for b00-a1"),
        ("b00", False, "steal"),
        ("b00-r1", True, ""),
        ("b01", True, ""),
    ]


def test_a_factor_named_like_a_measurement_keeps_its_value(directory: RunDirectory) -> None:
    named = replace(trial(), factors={"duration_s": 12.0, "rate_rps": 3.0})
    directory.store(record(named))
    assert directory.rows()[0]["duration_s"] == 12.0


def test_a_run_is_found_by_path_and_by_name(directory: RunDirectory, tmp_path: Path) -> None:
    assert find_run(tmp_path, str(directory.path)) == directory.path
    assert find_run(tmp_path, directory.path.name) == directory.path
    with pytest.raises(NotFound, match="no run 2020"):
        find_run(tmp_path, "2020")


def test_a_name_of_two_runs_is_refused(directory: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(new_run(tmp_path, "other", 7, NOON))
    other.write_meta({"experiment": "other"})
    with pytest.raises(UsageError, match="name of 2 runs"):
        find_run(tmp_path, other.path.name)
