"""Loading runs, arms and blocks, summary rows, and what makes a trial invalid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.arms import arms, label_of, valid_blocks
from testbed.analysis.balance import metrics
from testbed.analysis.outcomes import failed, outcome_counts
from testbed.analysis.run import Run, load_run
from testbed.analysis.summary import summarise, unit_of, with_metrics
from testbed.analysis.validity import (
    control_lag_p99_ms,
    judged,
    limits_of,
    reasons,
    residuals,
)
from testbed.errors import NotFound, TestbedError, UsageError
from testbed.events import Event
from testbed.experiment.design import Trial
from testbed.experiment.record import TrialRecord
from tests.unit.analysis.synthetic import Balancer, balance_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return load_run(balance_run(tmp_path / "run", Balancer(reuse=(1, 20), connections=300)))


def break_file(directory: Path, name: str, text: str | None) -> None:
    if text is None:
        (directory / name).unlink()
    else:
        (directory / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("run.json", None, "no run.json"),
        ("run.json", "{", "cannot be read"),
        ("run.json", "[]", "names no experiment"),
        ("run.json", "{}", "names no experiment"),
        ("run.json", '{"experiment": "balance", "format": 99}', "format 99, this testbed reads"),
        ("trials.csv", None, "no trial of this run was finished"),
        ("trials.csv", "", "no trial of this run was finished"),
        ("samples.parquet", None, "samples.parquet cannot be read: No such file"),
        ("samples.parquet", "not parquet", "cannot be read"),
        ("events.jsonl", None, "events.jsonl cannot be read: No such file"),
        ("events.jsonl", "{broken\n", "cannot be read"),
    ],
)
def test_a_broken_run_is_told_in_one_sentence(
    run: Run, name: str, text: str | None, says: str
) -> None:
    break_file(run.directory, name, text)
    with pytest.raises(UsageError, match=says):
        load_run(run.directory)


def test_no_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no run at"):
        load_run(tmp_path / "nothing")


def test_a_run_without_a_ledger_is_read_without_one(run: Run) -> None:
    (run.directory / "ledger.csv").unlink()
    assert load_run(run.directory).ledger.empty


def test_errors_of_loading_are_the_user_s(run: Run) -> None:
    assert issubclass(UsageError, TestbedError)
    assert load_run(str(run.directory)).meta["experiment"] == "balance"


def test_arms_are_told_apart_by_what_varies(run: Run) -> None:
    assert [arm.label for arm in arms(run)] == ["reuse=1", "reuse=20"]
    assert arms(run)[0].factors == {"replicas": 3, "reuse": 1}
    assert json.dumps(arms(run)[0].factors)


def test_a_factor_s_value_may_be_called_none(run: Run) -> None:
    file = run.directory / "trials.csv"
    trials = pd.read_csv(file)
    trials.assign(reuse=trials["reuse"].map({1: "None", 20: "NA"})).to_csv(file, index=False)
    assert [arm.label for arm in arms(load_run(run.directory))] == ["reuse=NA", "reuse=None"]


def test_a_run_without_factors_is_one_arm(run: Run) -> None:
    (only,) = arms(replace(run, meta={"experiment": "balance"}))
    assert (only.label, len(only.trials)) == ("", 10)


def test_labels_put_units_behind_values() -> None:
    assert label_of({"probe_period_s": 1.0, "fault": "crash"}) == "probe period=1 s, fault=crash"


def test_a_block_with_an_invalid_trial_is_dropped_whole(run: Run) -> None:
    trials = run.trials.assign(valid=run.trials["trial"] != "2-20")
    kept = valid_blocks(replace(run, trials=trials))
    assert sorted(set(kept.trials["block"])) == [0, 1, 3, 4]
    assert set(kept.samples["trial"]) == set(kept.trials["trial"])


def test_summary_has_a_row_per_arm_and_metric_with_its_unit(run: Run) -> None:
    rows = summarise(run, metrics(run))
    keys = {(row["metric"], row["factors"]["reuse"]) for row in rows}
    assert ("cv", 1) in keys
    assert ("cv", 20) in keys
    row = next(row for row in rows if row["metric"] == "entropy_bits")
    assert (row["unit"], row["n"]) == ("bit", 5)
    assert row["ci_low"] < row["mean"] < row["ci_high"]
    json.dumps(rows, allow_nan=False)


def test_summary_of_times_with_a_censored_trial_is_their_median(run: Run) -> None:
    table = pd.DataFrame(
        {
            "trial": run.trials["trial"],
            "recover_ms": [1.0, 1, 2, 1, 3, 1, 9, 1, 9, 1],
            "recover_censored": [False] * 6 + [True, False, True, False],
        }
    )
    row = next(row for row in summarise(run, table) if row["factors"]["reuse"] == 1)
    assert (row["mean"], row["censored"], row["method"]) == (3, 2, "Kaplan-Meier median")


@pytest.mark.parametrize(
    ("metric", "unit"), [("recover_ms", "ms"), ("rate_rps", "1/s"), ("cv", ""), ("jain", "")]
)
def test_units_are_in_the_names(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit


def test_metrics_stand_beside_factors_and_are_replaced_when_made_again(run: Run) -> None:
    once = with_metrics(run, metrics(run))
    again = with_metrics(replace(run, trials=once), metrics(run))
    assert list(once["trial"]) == list(run.trials["trial"])
    pd.testing.assert_frame_equal(once, again)


def test_a_clean_run_has_no_reason_against_it(run: Run) -> None:
    for trial in run.trials["trial"]:
        samples, ledger = (frame[frame["trial"] == trial] for frame in (run.samples, run.ledger))
        assert reasons(samples, ledger, {}) == ()


def one_trial(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        run.samples[run.samples["trial"] == "0-1"],
        run.ledger[run.ledger["trial"] == "0-1"],
    )


def test_an_entry_that_nobody_accounts_for_invalidates(run: Run) -> None:
    samples, ledger = one_trial(run)
    ledger = ledger.assign(accepted=ledger["accepted"] - [1, 0, 0, 0, 0, 0])
    assert residuals(ledger)["residual"].tolist() == [1, 0, 0, 0, 0, 0]
    assert reasons(samples, ledger, {}) == ("ledger of web-0 from n1: residual +1",)


@pytest.mark.parametrize(
    ("counters", "says"),
    [
        ({"insert_failed": 3}, "conntrack insert_failed rose by 3"),
        ({"conntrack_early_drop": 1.0}, "conntrack early_drop rose by 1"),
        ({"steal_share": 0.2}, "the hypervisor took 20.0% of the CPU"),
    ],
)
def test_host_signals_invalidate(run: Run, counters: dict[str, float], says: str) -> None:
    samples, ledger = one_trial(run)
    assert reasons(samples, ledger, counters) == (says,)


def test_running_out_of_ports_invalidates(run: Run) -> None:
    samples, ledger = one_trial(run)
    outcomes = samples["outcome"].copy()
    outcomes.iloc[:2] = "client_error"
    (reason,) = reasons(samples.assign(outcome=outcomes), ledger, {})
    assert "EADDRNOTAVAIL" in reason


def test_lag_counts_on_the_control_stream_only(run: Run) -> None:
    samples, ledger = one_trial(run)
    late = samples.assign(start_ns=samples["start_ns"] + 50_000_000)
    assert reasons(late, ledger, {}) == ()
    control = late.assign(stream="control")
    assert control_lag_p99_ms(control) == pytest.approx(50.02)
    assert reasons(control, ledger, {})[0].startswith("the generator was late: p99 50.0 ms")


def test_too_many_requests_in_flight_at_the_end_invalidate(run: Run) -> None:
    samples, ledger = one_trial(run)
    (reason,) = reasons(samples.assign(outcome="censored"), ledger, {})
    assert reason.startswith("100.0% of the requests were still in flight")


def test_a_censored_request_is_offered_and_has_not_failed() -> None:
    samples = pd.DataFrame({"arm": "a", "outcome": ["ok", "refused", "censored", "ok"]})
    assert failed(samples).tolist() == [False, True, False, False]
    (row,) = outcome_counts(samples, ["arm"]).to_dict("records")
    assert row == {"arm": "a", "ok": 2, "refused": 1, "censored": 1, "offered": 4}


def test_a_stream_that_began_after_the_fault_invalidates(run: Run) -> None:
    samples, ledger = one_trial(run)
    outage = samples.assign(stream="outage")
    began = float(outage["scheduled_ns"].min())
    assert reasons(outage, ledger, {}, fault_ns=began + 1) == ()
    found = reasons(outage, ledger, {}, fault_ns=began - 757e6)
    assert found[0] == "stream outage of n1 began 757 ms after the fault"


def test_a_trial_is_judged_with_its_fault_and_what_was_lost(run: Run) -> None:
    samples, ledger = one_trial(run)
    early = Event(int(samples["scheduled_ns"].min()) - 7_000_000, "fault", "n1", "crash", "a/b")
    record = TrialRecord(
        Trial("b00-a0", 0, 0, {}, 1),
        started_ns=0,
        ended_ns=1,
        samples=samples.assign(stream="outage", client_node="n1"),
        ledger=ledger,
        events=(early,),
        rules={},
        kernel={"records_lost": 2},
    )
    assert judged(record, limits_of(timing=True, profile="default")) == (
        "2 conntrack events were lost",
        "stream outage of n1 began 7 ms after the fault",
    )
