"""Both experiments over real labs, as short as they can be; and a run that is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.analysis.run import load_run
from testbed.lab import registry

pytestmark = pytest.mark.lab

RUN = (sys.executable, "-m", "testbed.cli.main", "run", "--profile", "smoke", "--seed", "1")
BALANCE = ("balance", "--repeat", "1", "--set", "duration_s=1", "--set", "rate_rps=1000")


def labs_of(pid: int) -> list[str]:
    """Labs that the trials of this process have left."""
    return [path.name for path in registry.root().glob(f"run-{pid}-*")]


def test_balance_accounts_for_every_connection(tmp_path: Path) -> None:
    words = (*RUN, *BALANCE, "-o", "json", "-d", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["trials"], row["experiment"]) == (2, "balance")
    assert {finding["verdict"] for finding in row["findings"]} <= {
        "holds",
        "does not hold",
        "undecided",
    }
    run = load_run(row["directory"])
    valid = run.only(run.trials.loc[run.trials["valid"], "trial"])
    assert valid.samples["picked_backend"].notna().all()
    assert valid.ledger["kernel"].sum() == valid.ledger["accepted"].sum()
    assert (run.directory / "report.html").is_file()


def test_a_crash_is_detected_withdrawn_and_programmed_on_every_node(tmp_path: Path) -> None:
    words = (*RUN, "failover", "--repeat", "1", "--set", "fault=crash", "-d", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "failover").iterdir()
    run = load_run(path)
    trial = run.trials[run.trials["valid"]].iloc[0]
    assert 0 < trial["detect_ms"] <= trial["withdraw_ms"] <= trial["program_ms"]
    assert trial["detect_ms"] < 1_500  # a relist every second, and what a busy machine adds
    assert not trial["recover_censored"]
    failed = run.samples[(run.samples["stream"] == "outage") & (run.samples["outcome"] != "ok")]
    assert set(failed["outcome"]) <= {"refused", "reset", "closed", "timeout", "unreachable"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_lab_and_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    words = (*RUN, *BALANCE, "-d", str(tmp_path))
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "[1/2]" in line:  # one trial is stored, the next one's lab is coming up
            process.send_signal(number)
            break
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130, rest
    assert "1 of 2 trials are kept" in rest
    assert not labs_of(process.pid)
    (path,) = (tmp_path / "balance").iterdir()
    assert len(load_run(path).trials) == 1

    again = (*RUN[:4], "--resume", str(path))
    done = subprocess.run(again, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    run = load_run(path)
    assert run.meta["status"] == "complete"
    assert run.trials["valid"].sum() == 2
    assert (path / "report.html").is_file()
