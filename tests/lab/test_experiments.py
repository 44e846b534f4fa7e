"""Experiments over real labs, as short as they can be; and a run that is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from testbed.analysis.run import load_run
from testbed.lab import registry
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab

RUN = (sys.executable, "-m", "testbed.cli.main", "run", "--profile", "smoke", "--seed", "1")
BALANCE = ("balance", "--repeat", "1", "--set", "duration_s=1", "--set", "rate_rps=200")


def labs_of(pid: int) -> list[str]:
    """Labs that the trials of this process have left."""
    return [path.name for path in registry.root().glob(f"run-{pid}-*")]


def assert_withdrawn_everywhere(trial: pd.Series[Any]) -> None:
    """One phase after the other, and no kernel picks the pod once its node's rules do not.

    How soon clients have recovered is no matter here: beside other tests a request may be late.
    """
    assert 0 < trial["detect_ms"] <= trial["withdraw_ms"] <= trial["program_ms"]
    assert not trial["program_censored"]
    # Not a number where no client happened to try the pod.
    assert not trial["effective_ms"] > trial["program_ms"]


def test_balance_accounts_for_every_connection(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    words = (*RUN, *BALANCE, "-o", "json", "-d", str(tmp_path), "--junit", str(junit))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["trials"], row["experiment"]) == (2, "balance")
    assert {finding["verdict"] for finding in row["findings"]} <= {
        "holds",
        "does not hold",
        "undecided",
    }
    cases = [case.get("name") for case in ElementTree.parse(junit).iter("testcase")]
    assert cases[0] == "every planned trial counts"
    assert len(cases) == 1 + len(row["findings"])
    run = load_run(row["directory"])
    valid = run.only(run.trials.loc[run.trials["valid"], "trial"])
    assert valid.samples["picked_backend"].notna().all()
    assert valid.ledger["kernel"].sum() == valid.ledger["accepted"].sum()
    assert (run.directory / "report.html").is_file()


def test_a_crash_is_detected_withdrawn_and_programmed_on_every_node(tmp_path: Path) -> None:
    run = conducted("failover", tmp_path, "fault=crash")
    trial = run.trials.iloc[0]
    assert_withdrawn_everywhere(trial)
    failed = run.samples[(run.samples["stream"] == "outage") & (run.samples["outcome"] != "ok")]
    assert set(failed["outcome"]) <= {"refused", "reset", "closed", "timeout", "unreachable"}


def test_a_crash_of_a_service_in_the_second_ip_family_alone(tmp_path: Path) -> None:
    file = tmp_path / "six.yaml"
    file.write_text(
        "name: six\nnetwork: {podCIDR: '10.244.0.0/16,fd00:10:244::/56'}\nnodes: {n1: {}, n2: {}}\n"
        "workloads: {web: {port: 8080}}\n"
        "services: {web: {port: 80, targetPort: 8080, ipFamilies: [IPv6]}}\n"
    )
    run = conducted("failover", tmp_path, "fault=crash", topology=str(file))
    trial = run.trials.iloc[0]
    assert_withdrawn_everywhere(trial)
    assert run.samples["target"].str.startswith("[fd00:").all()


def test_modes_are_compared_in_balance_latency_and_recovery(tmp_path: Path) -> None:
    run = conducted("modes", tmp_path, "proxy=iptables-legacy,userspace", "duration_s=2")
    table = run.trials.set_index("proxy")
    assert set(table.index) == {"iptables-legacy", "userspace"} == set(run.trials["mode"])
    assert (table[["latency_over_direct", "detect_ms"]] > 0).all(axis=None)
    # The kernel's dice may fall evenly, too; round robin always does, but for a connection or two.
    assert table.loc["userspace", "cv"] < 0.03
    assert table.loc["iptables-legacy", "cv"] < 0.5
    assert run.samples.loc[run.samples["stream"] == "main", "picked_backend"].notna().all()
    assert {finding["figures"]["arm"] for finding in run.meta["findings"]} == {"userspace"}


def test_scale_times_syncs_and_first_packets(tmp_path: Path) -> None:
    settings = ("proxy=iptables-legacy", "services=5,50", "changes=1", "connections=20")
    run = conducted("scale", tmp_path, *settings)
    metrics = ["full_sync_ms", "change_sync_ms", "change_ms", "first_packet_us", "memory_mib"]
    assert (run.trials[metrics] > 0).all(axis=None)
    assert (run.trials["change_ms"] >= run.trials["change_sync_ms"]).all()
    assert not list((run.directory / "rules").glob("*.rules"))


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
    assert process.wait(timeout=120) == 130, rest
    assert "1 of 2 trials are kept" in rest
    assert not labs_of(process.pid)
    (path,) = (tmp_path / "balance").iterdir()
    assert len(load_run(path).trials) == 1

    again = (*RUN[:4], "--resume", str(path))
    done = subprocess.run(again, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    run = load_run(path)
    assert run.meta["status"] == "complete"
    assert run.trials["valid"].sum() == 2
    assert (path / "report.html").is_file()


def test_a_rollout_is_watched_from_the_new_template_to_the_last_old_pod(tmp_path: Path) -> None:
    run = conducted("rollout", tmp_path, "strategy=RollingUpdate", "pre_stop_s=1", "replicas=2")
    trial = run.trials.iloc[0]
    assert trial["offered_new"] > 0
    assert trial["rollout_s"] > 2  # two pods, each ready after a second
    kept = run.samples[(run.samples["stream"] == "kept") & (run.samples["outcome"] == "ok")]
    assert kept["backend"].nunique() >= 3


def test_a_stopped_node_is_found_out_and_withdrawn(tmp_path: Path) -> None:
    run = conducted("failover", tmp_path, "fault=stop-node")
    trial = run.trials.iloc[0]
    assert_withdrawn_everywhere(trial)
    lost = run.samples[(run.samples["stream"] == "outage") & (run.samples["outcome"] != "ok")]
    assert set(lost["outcome"]) <= {"timeout", "unreachable", "censored"}


def test_a_kept_address_answers_again_and_saves_no_connection(tmp_path: Path) -> None:
    run = conducted("reschedule", tmp_path, "address=kept", "connections=4")
    trial = run.trials.iloc[0]
    assert trial["tcp_with_pod"] > 0
    assert (trial["tcp_survive_share"], trial["udp_survive_share"], trial["direct_back"]) == (
        0,
        1,
        1,
    )
    assert "wrong_backend" not in set(run.samples["outcome"])
