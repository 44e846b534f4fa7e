"""A run whose process is killed: its labs end, and resumed it has the trials of a run that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.analysis.run import Run, load_run
from testbed.lab.leftovers import marked

pytestmark = pytest.mark.lab

RUN = (sys.executable, "-m", "testbed.cli.main", "run")
EXPERIMENT = """
from testbed.analysis import balance
from testbed.experiment.arrange import with_clients_on_every_node, without_names
from testbed.traffic.spec import LoadSpec
QUESTION = HYPOTHESIS = REFUTED_IF = "Are the trials of a killed run those of one that was not?"
TOPOLOGY = "quickstart.yaml"
FACTORS = {"rate_rps": (100.0,)}
REPEATS = 3
REQUIRES = frozenset()
TIMING = False
def arrange(topology, factors):
    return with_clients_on_every_node(without_names(topology))
def trial(lab, factors, seed):
    subject = lab.subject()
    lab.load(LoadSpec(source=subject.clients[0].name, url=subject.url(), label="main", seed=seed,
                      rate_rps=factors["rate_rps"], duration_s=0.3))
def measure(run): return balance.metrics(run)
def analyse(run): return balance.findings(run, HYPOTHESIS, 0.5)
def plot(run): return {}
"""


def own_and_children(pid: int) -> set[str]:
    """The processes that this one's trials run in: labs are named after them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {str(pid), *children}


def rows(run: Run) -> list[tuple[object, ...]]:
    table = run.trials[["trial", "block", "arm", "seed", "rate_rps", "valid"]]
    return sorted(table.itertuples(index=False, name=None))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_in_a_trial_it_leaves_no_lab_and_resumes_to_the_same_trials(
    jobs: str, tmp_path: Path
) -> None:
    file = tmp_path / "shares.py"
    file.write_text(EXPERIMENT)
    words = (*RUN, str(file), "--seed", "9", "-d", str(tmp_path / "results"), "--jobs", jobs)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    pids: set[str] = set()
    for line in process.stderr:
        if "[1/3]" in line:  # one trial is stored; others are under way, or just about to be
            pids = own_and_children(process.pid)
            process.kill()
            break
    rest = process.stderr.read()  # ends with the last process that could write to it
    assert process.wait() == -signal.SIGKILL, rest

    (path,) = (tmp_path / "results" / "shares").iterdir()
    done = subprocess.run(
        (*RUN, "--resume", str(path), "--jobs", jobs, "-o", "json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["trials"], row["status"]) == (3, "complete")
    assert not {one.lab for one in marked()} & {
        f"run-{pid}-b0{n}-a0" for pid in pids for n in range(3)
    }
    run = load_run(path)
    assert [trial for trial, *_ in rows(run)] == ["b00-a0", "b01-a0", "b02-a0"]
    assert len({seed for _, _, _, seed, *_ in rows(run)}) == 3
    assert set(run.samples["trial"]) == set(run.trials["trial"])
    assert not [path for path in run.directory.iterdir() if path.name.startswith(".")]
