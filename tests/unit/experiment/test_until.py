"""Runs that end when they know enough: the goal, the first look, a resumed run."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.run import load_run
from testbed.errors import UsageError
from testbed.experiment.design import PAPER, Design
from testbed.experiment.module import load
from testbed.experiment.record import TrialRecord
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.runner import Outside
from testbed.experiment.session import Ended, Job, command_line, execute, resumed_job
from testbed.experiment.side_by_side import Executor, in_turn, side_by_side
from testbed.experiment.until import Look, first_look, goal_of
from tests.unit.experiment.fake_lab import Labs
from tests.unit.experiment.test_runner import MODULE


@pytest.mark.parametrize(
    ("text", "kind", "half_width"),
    [
        ("ci=5%", "share", 0.05),
        ("ci=0.5%", "share", 0.005),
        ("ci=50ms", "time", 0.05),
        ("ci=1s", "time", 1.0),
        ("ci=0.01", "number", 0.01),
    ],
)
def test_a_goal_is_a_half_width(text: str, kind: str, half_width: float) -> None:
    goal = goal_of(text)
    assert (goal.text, goal.kind) == (text, kind)
    assert goal.half_width == pytest.approx(half_width)


@pytest.mark.parametrize("text", ["5%", "ci=", "ci=-5%", "ci=0%", "ci=5parsec", "n=5", "ci=inf%"])
def test_what_is_no_goal_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="write it as ci=5%"):
        goal_of(text)


def test_a_time_concerns_times_and_a_number_what_has_no_unit() -> None:
    concerned = {
        text: [unit for unit in ("ms", "s", "", "MiB") if goal_of(text).concerns(unit)]
        for text in ("ci=50ms", "ci=0.1", "ci=5%")
    }
    assert concerned == {
        "ci=50ms": ["ms", "s"],
        "ci=0.1": [""],
        "ci=5%": ["ms", "s", "", "MiB"],
    }


def test_a_paper_run_looks_later() -> None:
    assert (first_look("default"), first_look(PAPER)) == (10, 20)


class Enough:
    """Knows enough after so many blocks; keeps what it was shown."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.shown: list[str] = []

    def add(self, block: Path) -> None:
        run = load_run(block)
        assert list(run.trials["replicas"].sort_values()) == [1, 2]
        assert set(run.samples["trial"]) == set(run.trials["trial"])
        self.shown += set(run.trials["block"])

    def look(self) -> Look:
        blocks = len(self.shown)
        return Look(blocks, blocks >= self.after, f"share ±{10 / blocks:.1f}%")


@pytest.fixture
def labs(tmp_path: Path) -> Labs:
    return Labs(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "example.py"
    path.write_text(MODULE)
    design = Design({"replicas": (1, 2)}, repeats=14, seed=5)
    return Job(load(str(path)), design, until=goal_of("ci=5%"))


def run(
    job: Job, root: Path, labs: Labs, enough: Enough, executor: Executor = in_turn
) -> tuple[Ended, list[str]]:
    said: list[str] = []

    def judge(record: TrialRecord) -> tuple[str, ...]:
        return ("noise",) if (record.trial.block, record.trial.attempt) == (1, 0) else ()

    outside = Outside(labs.up, judge, executor=executor, precision=enough)
    return execute(job, root / "results", outside, said.append), said


@pytest.mark.parametrize(
    ("after", "stopped"),
    [
        (1, "ci=5% reached: share ±1.0% after 10 blocks"),
        (12, "ci=5% reached: share ±0.8% after 12 blocks"),
        (99, "ci=5% not reached in 14 blocks: share ±0.7% after 14 blocks"),
    ],
    ids=["at the first look", "later", "never"],
)
def test_it_ends_after_the_block_that_reaches_the_goal(
    after: int, stopped: str, job: Job, tmp_path: Path, labs: Labs
) -> None:
    enough = Enough(after)
    ended, _ = run(job, tmp_path, labs, enough)
    blocks = min(max(after, 10), job.design.repeats)
    assert (ended.valid, ended.invalid, ended.status) == (2 * blocks, 1, "complete")
    assert ended.stopped == stopped == RunDirectory(ended.directory).meta()["stopped"]
    # The dropped attempt of block 1 was not shown.
    assert enough.shown[:3] == ["b00", "b01-r1", "b02"]
    assert not [path for path in ended.directory.iterdir() if path.name.startswith(".")]


def test_an_interrupted_run_goes_on_under_the_same_rule(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    labs.before = lambda lab: os.kill(os.getpid(), signal.SIGINT) if lab == 23 else None
    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, labs, Enough(12))
    (path,) = (tmp_path / "results" / "example").iterdir()
    labs.before = lambda lab: None
    again = resumed_job(tmp_path / "results", path.name, [])
    assert again.until == job.until
    ended, _ = run(again, tmp_path, labs, Enough(12))
    assert (ended.valid, ended.status) == (24, "complete")


def test_side_by_side_it_stops_too(job: Job, tmp_path: Path, labs: Labs) -> None:
    ended, _ = run(job, tmp_path, labs, Enough(11), side_by_side(2))
    # A block that was under way when the goal was reached is kept.
    assert ended.status == "complete"
    assert ended.valid in (22, 24)
    assert ended.stopped.startswith("ci=5% reached")


def test_the_command_line_says_it(job: Job) -> None:
    assert command_line(job).endswith("--until ci=5% --repeat 14 --seed 5")
    assert "--until" not in command_line(replace(job, until=None))
