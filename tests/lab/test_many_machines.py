"""A scheduler of Dask and three workers: a run survives the loss of one, ends with Ctrl-C, and goes on here."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.analysis.run import load_run
from testbed.lab.leftovers import marked

pytestmark = pytest.mark.lab

RUN = (sys.executable, "-m", "testbed.cli.main", "run")
TRIALS = ["b00-a0", "b00-a1", "b01-a0", "b01-a1", "b02-a0", "b02-a1"]
PATIENCE_S = 400
"""Three workers start, and a lab each, beside whatever else the machine does."""

EXPERIMENT = """
import os
from pathlib import Path
from testbed.analysis import balance
from testbed.experiment.arrange import with_clients_on_every_node, without_names
from testbed.traffic.spec import LoadSpec
QUESTION = HYPOTHESIS = REFUTED_IF = "Is each trial in the results, and once?"
TOPOLOGY = "quickstart.yaml"
FACTORS = {"rate_rps": (100.0, 200.0)}
REPEATS = 3
REQUIRES = frozenset()
TIMING = False
HELD = Path("HELD_FILE")
def arrange(topology, factors):
    return with_clients_on_every_node(without_names(topology))
def trial(lab, factors, seed):
    subject = lab.subject()
    lab.load(LoadSpec(source=subject.clients[0].name, url=subject.url(), label="main", seed=seed,
                      rate_rps=factors["rate_rps"], duration_s=0.2))
    draft = HELD.with_suffix(f".{os.getpid()}")
    draft.write_text(f"{os.getpid()} {os.getppid()}")
    try:
        os.link(draft, HELD)  # the first trial of all stays until somebody ends it
    except FileExistsError:
        return
    lab.pause(600)
def measure(run): return balance.metrics(run)
def analyse(run): return balance.findings(run, HYPOTHESIS, 0.5)
def plot(run): return {}
"""


def text_of(path: Path, writer: subprocess.Popen[str] | None = None) -> str:
    """A file's text, as soon as it is there and has some."""
    end = time.monotonic() + PATIENCE_S
    while not (path.is_file() and (text := path.read_text())):
        assert time.monotonic() < end, f"no {path.name}"
        assert not writer or writer.poll() is None, writer.communicate()[1]
        time.sleep(0.05)
    return text


def await_end(pidfd: int) -> None:
    """Returns when the process has ended."""
    ready, _, _ = select.select([pidfd], [], [], PATIENCE_S)
    assert ready


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`--executor` of a scheduler with three workers."""
    folder = tmp_path_factory.mktemp("dask")
    place = folder / "scheduler.json"
    own = (sys.executable, "-m", "dask")
    where = ("--host", "127.0.0.1", "--scheduler-file", str(place), "--no-dashboard")
    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack, (folder / "said").open("wb") as said:

        def start(*words: str) -> None:
            one = subprocess.Popen((*own, *words, *where), stdout=said, stderr=said, cwd=folder)
            stack.callback(one.wait)
            stack.callback(one.kill)
            started.append(one)

        start("scheduler", "--port", "0")
        address = json.loads(text_of(place))["address"]
        for name in ("w1", "w2", "w3"):
            start("worker", "--nthreads", "1", "--no-nanny", "--name", name)
        yield address.replace("tcp://", "dask://")


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Its first trial waits in `held`, which names its process and its worker."""
    file = tmp_path / "shares.py"
    file.write_text(EXPERIMENT.replace("HELD_FILE", str(tmp_path / "held")))
    return file


def begun(experiment: Path, scheduler: str) -> tuple[subprocess.Popen[str], int, int]:
    """A run whose first trial is under way: the run, the trial's process (a pidfd), its worker's pid."""
    folder = str(experiment.parent / "results")
    words = (*RUN, str(experiment), "--seed", "9", "-d", folder, "--executor", scheduler)
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    pid, worker = map(int, text_of(experiment.parent / "held", run).split())
    return run, os.pidfd_open(pid), worker


def only_run(experiment: Path) -> Path:
    (path,) = (experiment.parent / "results" / "shares").iterdir()
    return path


def labs_of_runs() -> set[str]:
    """Labs of the trials of runs: of this one, or of other tests beside it."""
    return {one.lab for one in marked() if one.lab.startswith("run-")}


def test_interrupted_it_leaves_nothing_on_its_workers(experiment: Path, scheduler: str) -> None:
    run, trial, _ = begun(experiment, scheduler)
    pid = (experiment.parent / "held").read_text().split()[0]
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130, said
    await_end(trial)
    assert not {lab for lab in labs_of_runs() if lab.startswith(f"run-{pid}-")}


def test_a_worker_killed_in_a_trial_costs_no_trial_and_leaves_no_lab(
    experiment: Path, scheduler: str
) -> None:
    run, trial, worker = begun(experiment, scheduler)
    pid = (experiment.parent / "held").read_text().split()[0]
    os.kill(worker, signal.SIGKILL)
    _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, said
    assert "lost its worker" in said
    await_end(trial)
    assert not {lab for lab in labs_of_runs() if lab.startswith(f"run-{pid}-")}

    stored = load_run(only_run(experiment))
    assert sorted(stored.trials["trial"]) == TRIALS
    assert stored.trials["valid"].all()
    assert list(stored.samples["trial"].unique()) == list(stored.trials["trial"])
    assert set(stored.trials["machine"]) == set(stored.meta["machines"])
    assert all(one["kernel"]["release"] for one in stored.meta["machines"].values())
