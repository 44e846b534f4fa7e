"""A run that is killed, at any point, and resumed has the trials of a run that was not."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest
from pyarrow import parquet

from testbed.analysis.run import Finding, Run, load_run
from testbed.experiment.design import Design
from testbed.experiment.module import Experiment, load
from testbed.experiment.runner import Outside
from testbed.experiment.session import Job, execute, resumed_job
from testbed.experiment.side_by_side import Executor, in_turn, side_by_side
from testbed.report.build import build
from tests.unit.experiment.fake_lab import Labs
from tests.unit.experiment.test_runner import MODULE

Prepare = Callable[[Labs], None]


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives that")


def at_call(owner: Any, name: str, number: int) -> Prepare:
    """Die at that call of a library's function."""

    def prepare(labs: Labs) -> None:
        real, calls = getattr(owner, name), []

        def counted(*args: Any, **more: Any) -> Any:
            calls.append(1)
            return die() if len(calls) == number else real(*args, **more)

        setattr(owner, name, counted)

    return prepare


def at_lab(number: int) -> Prepare:
    """Die when that lab comes up."""

    def prepare(labs: Labs) -> None:
        labs.before = lambda lab: die() if lab == number else None

    return prepare


def nothing(labs: Labs) -> None:
    return


PHASES: dict[str, Prepare] = {
    "before the first trial": at_call(shutil, "disk_usage", 1),
    "while the first lab comes up": at_lab(1),
    "in a later trial": at_lab(2),
    "between trials": at_call(shutil, "disk_usage", 3),
    "while a trial is written": at_call(pd.DataFrame, "to_parquet", 2),
    "while the last one is written": at_call(pd.DataFrame, "to_parquet", 4),
    "while the trials are gathered": at_call(parquet, "ParquetWriter", 1),
    "while their rules are": at_call(shutil, "copyfile", 1),
    "while the parts are removed": at_call(os, "rmdir", 2),
    "in the analysis": nothing,
    "in the plots": nothing,
}


def experiment(folder: Path, dies_in: str) -> Experiment:
    path = folder / "example.py"
    path.write_text(MODULE)

    def analyse(run: Run) -> list[Finding]:
        if dies_in == "in the analysis":
            die()
        return [Finding("?", "h", "holds", {"trials": len(run.trials)})]

    def plot(run: Run) -> dict[str, Any]:
        return die() if dies_in == "in the plots" else {}

    def measure(run: Run) -> pd.DataFrame:
        return pd.DataFrame({"trial": run.trials["trial"], "one": 1.0})

    return replace(load(str(path)), analyse=analyse, plot=plot, measure=measure)


def conduct(job: Job, root: Path, labs: Labs, executor: Executor = in_turn) -> Path:
    outside = Outside(labs.up, lambda record: (), executor=executor)
    ended = execute(job, root, outside, lambda text: None)
    build(load_run(ended.directory), job.experiment)
    return ended.directory


def trials(path: Path) -> list[tuple[Any, ...]]:
    table = load_run(path).trials
    columns = ["trial", "block", "arm", "seed", "replicas", "valid", "one"]
    return sorted(table[columns].itertuples(index=False, name=None))


DESIGN = Design({"replicas": (1, 2)}, repeats=2, seed=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    return conduct(Job(experiment(folder, ""), DESIGN), folder / "results", Labs(folder))


SEVERAL = ("in a later trial", "while a trial is written", "while the trials are gathered")


@pytest.mark.parametrize(
    ("phase", "executor"),
    [
        *((phase, in_turn) for phase in PHASES),
        *((phase, side_by_side(2)) for phase in SEVERAL),
    ],
    ids=[*PHASES, *(f"side by side, {phase}" for phase in SEVERAL)],
)
def test_killed_and_resumed_it_has_the_same_trials(
    phase: str, executor: Executor, whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    pid = os.fork()
    if not pid:
        labs = Labs(tmp_path)
        PHASES[phase](labs)
        try:
            conduct(Job(experiment(tmp_path, phase), DESIGN), root, labs, executor)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    if executor is in_turn:  # else it may have been one of its processes
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL

    (path,) = (root / "example").iterdir()
    assert not (path / "report.html").exists()
    again = replace(resumed_job(root, path.name, []), experiment=experiment(tmp_path, ""))
    assert conduct(again, root, Labs(tmp_path), executor) == path
    assert trials(path) == trials(whole)
    run = load_run(path)
    assert set(run.samples["trial"]) == set(run.trials["trial"])
    assert len(run.samples) == len(load_run(whole).samples)
    assert (run.meta["status"], len(run.meta["findings"])) == ("complete", 1)
    assert not (path / "trials").exists()
