"""A run from its first trial to its last, over labs that answer at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.run import load_run
from testbed.errors import CheckFailed, NotFound, OutOfTimeOrRoom, UsageError
from testbed.experiment import room, session
from testbed.experiment.design import Design
from testbed.experiment.environment import guest_kernel
from testbed.experiment.executor import Blocks
from testbed.experiment.interrupt import Interrupts
from testbed.experiment.progress import Progress
from testbed.experiment.record import TrialRecord
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.runner import MAX_ATTEMPTS, Outside, Runner
from testbed.experiment.session import Job, execute, resumed_job
from testbed.experiment.trial_lab import TrialLab
from testbed.traffic.spec import LoadSpec
from tests.unit.experiment.fake_lab import Labs

MODULE = """
from testbed.traffic.spec import LoadSpec
QUESTION = HYPOTHESIS = REFUTED_IF = "?"
TOPOLOGY = "quickstart.yaml"
FACTORS = {"replicas": (1, 2)}
REPEATS = 3
REQUIRES = frozenset()
TIMING = False
def trial(lab, factors, seed):
    subject = lab.subject()
    client = subject.clients[0].name
    lab.load(LoadSpec(source=client, url=subject.url(), rate_rps=1, label="main"))
def analyse(run): return []
def plot(run): return {}
"""


@pytest.fixture
def labs(tmp_path: Path) -> Labs:
    """Fake labs."""
    return Labs(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two arms, three blocks."""
    path = tmp_path / "example.py"
    path.write_text(MODULE)
    experiment = session.module.load(str(path))
    return Job(experiment, Design({"replicas": (1, 2)}, repeats=3, seed=5))


def fine(_: TrialRecord) -> tuple[str, ...]:
    return ()


def run(
    job: Job,
    root: Path,
    labs: Labs,
    judge: Callable[[TrialRecord], Any] = fine,
    machine: str = "here",
) -> Any:
    said: list[str] = []
    return execute(job, root / "results", Outside(labs.up, judge, machine=machine), said.append)


def only_run(root: Path) -> Path:
    (path,) = (root / "results" / "example").iterdir()
    return path


def test_every_arm_runs_in_every_block_in_a_fresh_lab(job: Job, tmp_path: Path, labs: Labs) -> None:
    ended = run(job, tmp_path, labs)
    stored = load_run(ended.directory)
    assert (ended.valid, ended.invalid, ended.status) == (6, 0, "complete")
    assert len(set(labs.started)) == 6
    assert not labs.alive
    assert stored.meta["status"] == "complete"
    assert stored.meta["mode"] == "iptables-nft"
    assert sorted(stored.trials["replicas"]) == [1, 1, 1, 2, 2, 2]
    assert not (ended.directory / "trials").exists()


def test_samples_say_who_asked_and_what_the_node_had_programmed(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    stored = load_run(run(job, tmp_path, labs).directory)
    samples = stored.samples[stored.samples["trial"] == "b00-a0"]
    assert set(samples["client"]) == {"client-n1-0"}
    assert set(samples["client_node"]) == {"n1"}
    assert set(samples["backend_node"]) == {"n1"}
    assert set(samples["stream"]) == {"main"}
    # Requests at 100, 200, … ns; syncs of n1 ended at 350 and 650 ns, and one failed at 700.
    assert list(samples["node_rules_rv"].fillna(0)) == [0, 0, 0, 7, 7, 7, 9, 9, 9, 9]


def test_samples_and_ledger_hold_what_the_kernel_picked(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    stored = load_run(run(job, tmp_path, labs).directory)
    samples = stored.samples[stored.samples["trial"] == "b00-a0"]
    assert list(samples["picked_backend"]) == ["web-0"] * 9 + ["web-1"]
    assert list(samples["outcome"]) == ["ok"] * 9 + ["wrong_backend"]
    rows = stored.ledger[stored.ledger["trial"] == "b00-a0"]
    assert dict(zip(rows["backend"], rows["kernel"], strict=True)) == {"web-0": 9, "web-1": 1}


def test_an_invalid_trial_drops_its_block_which_is_run_again(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    def judge(record: TrialRecord) -> tuple[str, ...]:
        late = record.trial.block == 1 and record.trial.attempt == 0
        return ("the hypervisor took 9.0% of the CPU",) if late else ()

    ended = run(job, tmp_path, labs, judge)
    trials = load_run(ended.directory).trials
    assert (ended.valid, ended.invalid, ended.status) == (6, 1, "complete")
    assert list(trials[~trials["valid"]]["invalid_reason"]) == [
        "the hypervisor took 9.0% of the CPU"
    ]
    assert set(trials[trials["valid"]]["block"]) == {"b00", "b01-r1", "b02"}


def test_a_block_that_stays_invalid_is_given_up(job: Job, tmp_path: Path, labs: Labs) -> None:
    ended = run(job, tmp_path, labs, lambda record: ("noise",) * (record.trial.block == 1))
    assert (ended.valid, ended.invalid, ended.status) == (4, MAX_ATTEMPTS, "incomplete")


def test_trials_that_fail_again_and_again_end_the_run(job: Job, tmp_path: Path, labs: Labs) -> None:
    def never(number: int) -> None:
        raise OutOfTimeOrRoom("pods did not answer within 60 s")

    labs.before = never
    with pytest.raises(CheckFailed, match="block 0 failed 3 times: failed: pods did not answer"):
        run(job, tmp_path, labs)
    assert load_run(only_run(tmp_path)).meta["status"] == "stopped"


def test_what_no_trial_can_mend_ends_the_run_at_once(job: Job, tmp_path: Path, labs: Labs) -> None:
    def wrong(number: int) -> None:
        raise UsageError("the topology has no pod that could call the service")

    labs.before = wrong
    with pytest.raises(UsageError):
        run(job, tmp_path, labs)
    assert len(labs.started) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_an_interrupted_run_is_readable_and_resumes_where_it_stopped(
    job: Job, tmp_path: Path, labs: Labs, number: signal.Signals, at: int
) -> None:
    labs.before = lambda lab: os.kill(os.getpid(), number) if lab == at else None
    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, labs)
    assert not labs.alive
    path = only_run(tmp_path)
    assert RunDirectory(path).meta()["status"] == "interrupted"
    if at > 1:
        assert len(load_run(path).trials) == at - 1

    labs.before = lambda lab: None
    again = resumed_job(tmp_path / "results", path.name, [])
    ended = run(again, tmp_path, labs)
    assert ended.directory == path
    assert (ended.valid, ended.invalid, ended.status) == (6, 0, "complete")
    assert len(labs.started) == 7  # the interrupted trial once more, no finished one


def test_an_interruption_within_a_trial_takes_its_lab_down(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    def trial(lab: TrialLab, factors: object, seed: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    experiment = replace(job.experiment, trial=trial)
    with pytest.raises(KeyboardInterrupt):
        run(replace(job, experiment=experiment), tmp_path, labs)
    assert not labs.alive


def test_a_bug_in_a_trial_shows_and_takes_its_lab_down(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    def trial(lab: TrialLab, factors: object, seed: int) -> None:
        raise ZeroDivisionError

    experiment = replace(job.experiment, trial=trial)
    with pytest.raises(ZeroDivisionError):
        run(replace(job, experiment=experiment), tmp_path, labs)
    assert not labs.alive


def test_a_full_disk_is_found_before_the_first_lab(
    job: Job, tmp_path: Path, labs: Labs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(OutOfTimeOrRoom, match="MiB left"):
        run(job, tmp_path, labs)
    assert not labs.started


def test_a_run_begun_on_another_kernel_is_not_resumed(job: Job, tmp_path: Path, labs: Labs) -> None:
    labs.before = lambda lab: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, labs)
    again = resumed_job(tmp_path / "results", only_run(tmp_path).name, [])
    guest = Outside(labs.up, fine, guest_kernel("packaged", "6.1.176"))
    with pytest.raises(UsageError, match=r"this is 6\.1\.176"):
        execute(again, tmp_path / "results", guest, lambda text: None)


def test_a_block_is_never_split_over_machines(job: Job, tmp_path: Path, labs: Labs) -> None:
    labs.before = lambda lab: os.kill(os.getpid(), signal.SIGINT) if lab == 4 else None
    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, labs, machine="m1")

    labs.before = lambda lab: None
    again = resumed_job(tmp_path / "results", only_run(tmp_path).name, [])
    ended = run(again, tmp_path, labs, machine="m2")
    assert (ended.valid, ended.status) == (6, "complete")
    trials = load_run(ended.directory).trials
    kept = trials[trials["valid"]]
    assert set(zip(kept["block"], kept["machine"], strict=True)) == {
        ("b00", "m1"),
        ("b01-r1", "m2"),
        ("b02", "m2"),
    }
    assert "b01 was begun on m1" in "; ".join(trials["invalid_reason"].dropna())


def test_trials_that_ran_elsewhere_are_stored_as_they_were(
    job: Job, tmp_path: Path, labs: Labs
) -> None:
    """Another machine's executor: it runs each block in a folder of its own, and sends what is in it."""
    there = Outside(labs.up, fine, machine="m7")

    def elsewhere(numbers: Iterator[int], blocks: Blocks) -> Iterator[int]:
        for number in numbers:
            folder = RunDirectory(tmp_path / f"there-{number}")
            folder.path.mkdir()
            runner = Runner(job.experiment, job.design, folder, lambda factors: None, there)
            runner.run_block(number, dict(blocks.finished(number)), Interrupts(), quiet)
            blocks.take_in(folder.files())
            yield number

    quiet = Progress("example", job.design, lambda text: None)
    machines: dict[str, dict[str, Any]] = {"m7": {"host": "m7", "kernel": {}}}
    here = Outside(labs.up, fine, executor=elsewhere, machine="", machines=lambda: machines)
    said: list[str] = []
    ended = execute(job, tmp_path / "results", here, said.append)
    whole = run(job, tmp_path / "whole", labs)
    stored = load_run(ended.directory)
    assert (ended.valid, ended.status, len(said)) == (6, "complete", 6)
    assert set(stored.trials["machine"]) == set(stored.meta["machines"]) == {"m7"}
    assert stored.samples.equals(load_run(whole.directory).samples)
    assert (ended.directory / "rules" / "index.json").is_file()


def test_a_complete_run_resumed_runs_nothing(job: Job, tmp_path: Path, labs: Labs) -> None:
    path = run(job, tmp_path, labs).directory
    (path / "report.html").touch()
    with pytest.raises(UsageError, match="complete"):
        resumed_job(tmp_path / "results", path.name, [])


def test_another_experiment_s_run_is_not_resumed(job: Job, tmp_path: Path, labs: Labs) -> None:
    labs.before = lambda lab: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, labs)
    with pytest.raises(UsageError, match="a run of example, not of failover"):
        resumed_job(tmp_path / "results", only_run(tmp_path).name, ["failover"])
    with pytest.raises(NotFound):
        resumed_job(tmp_path / "results", "nowhere", [])


def test_a_run_s_command_line_repeats_it(job: Job) -> None:
    path = job.experiment.path
    assert session.command_line(job) == (
        f"testbed run {path} --profile default --set replicas=1,2 --repeat 3 --seed 5"
    )


def test_the_loads_of_a_trial_are_kept_with_their_stream(labs: Labs) -> None:
    lab = TrialLab(labs.up(None, "one"), generator_cpu=1)
    lab.load(
        LoadSpec(source="client-n1-0", url="http://10.1.0.1/", rate_rps=1, label="main"),
        LoadSpec(source="client-n2-0", url="http://10.1.0.1/", rate_rps=1, label="x", cpu=0),
    )
    loads = lab.finished_loads()
    assert [(load.spec.label, load.spec.cpu) for load in loads] == [("main", 1), ("x", 0)]
