"""Figures and verdicts of failovers whose course is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from testbed.analysis import failover
from testbed.analysis.failover import ProbeSettings
from testbed.analysis.run import Run, load_run
from tests.unit.analysis.synthetic import NODES, Story, failover_run

STUCK = Story(detect_ms=None, withdraw_ms=None, program_ms=dict.fromkeys(NODES), watched_ms=6000)


def run_of(tmp_path: Path, *stories: Story) -> Run:
    return load_run(failover_run(tmp_path, {stories[0].fault: stories}))


def test_a_trial_s_metric_is_its_last_node_or_client(tmp_path: Path) -> None:
    row = failover.metrics(run_of(tmp_path, Story())).iloc[0]
    assert row["detect_ms"] == 700
    assert row["program_ms"] == 745
    assert row["recover_ms"] == 711  # every third request fails, the last one at 701 ms
    assert not row["recover_censored"]


def test_losses_count_only_what_was_due_after_the_fault(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    row = failover.metrics(run).iloc[0]
    assert row["offered_new"] == 2 * 800
    assert row["failed_new"] == (run.samples["outcome"] == "refused").sum()
    assert (row["failed_kept"], row["offered_kept"]) == (2, 2 * 160)


def test_a_request_in_flight_at_the_fault_is_its_loss_too(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    caught = (run.samples["stream"] == "kept") & (run.samples["scheduled_ns"] == 99_953 * 1e6)
    samples = run.samples.copy()
    samples.loc[caught, "end_ns"] = 100_010_000_000
    samples.loc[caught, "outcome"] = "reset"
    row = failover.metrics(replace(run, samples=samples)).iloc[0]
    assert caught.sum() == 2
    assert (row["failed_kept"], row["offered_kept"]) == (2 + 2, 2 * 160 + 2)


def test_the_loss_integral_is_the_failed_share_over_time(tmp_path: Path) -> None:
    """One of three picks fails for 721 to 730 ms: about 242 ms of full outage."""
    row = failover.metrics(run_of(tmp_path, Story())).iloc[0]
    assert row["loss_integral_ms"] == pytest.approx((721 + 730) / 2 / 3, abs=5)


def test_the_loss_integral_does_not_depend_on_how_long_it_was_watched(tmp_path: Path) -> None:
    short, long = (
        failover.metrics(run_of(tmp_path / str(ms), Story(watched_ms=ms))).iloc[0]
        for ms in (6000.0, 12_000.0)
    )
    assert short["loss_integral_ms"] == pytest.approx(long["loss_integral_ms"], rel=0.01)


def test_censored_trials_stay_in_the_figures(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story(), Story(), STUCK)
    (intervals,) = failover.phase_intervals(run).values()
    assert (intervals["detect"].n, intervals["detect"].censored) == (3, 1)
    assert intervals["detect"].method == "Kaplan-Meier median"


def test_faults_are_never_pooled(tmp_path: Path) -> None:
    slow = Story(fault="delete", detect_ms=1400.0, withdraw_ms=1403.0,
                 program_ms=dict.fromkeys(NODES, (1405.0, 1420.0)))  # fmt: skip
    run = load_run(failover_run(tmp_path, {"crash": [Story()] * 5, "delete": [slow] * 5}))
    intervals = failover.phase_intervals(run)
    assert intervals["fault=crash"]["detect"].estimate == pytest.approx(700)
    assert intervals["fault=delete"]["detect"].estimate == pytest.approx(1400)


def test_outcomes_are_told_apart_by_kind_of_connection(tmp_path: Path) -> None:
    table = failover.outcomes(run_of(tmp_path, Story())).set_index("connections")
    assert table.loc["kept", "reset"] == 2
    assert table.loc["new", "reset"] == 0
    assert table.loc["new", "refused"] == 2 * 24


@pytest.mark.parametrize(
    ("limit_ms", "stories", "verdict"),
    [
        (2000, [Story()] * 5, "holds"),
        (300, [Story()] * 5, "does not hold"),
        (2000, [Story()] * 4, "undecided"),
        (2000, [Story()] * 3 + [STUCK] * 2, "undecided"),
        (2000, [STUCK] * 5, "does not hold"),
    ],
    ids=["within", "beyond", "too few trials", "some stuck", "all stuck"],
)
def test_recovery_is_judged_against_the_limit(
    tmp_path: Path, limit_ms: float, stories: list[Story], verdict: str
) -> None:
    (finding,) = failover.findings(run_of(tmp_path, *stories), "soon.", {"crash": limit_ms})
    assert finding.verdict == verdict
    assert finding.figures["recover_censored"] == stories.count(STUCK)


def test_the_sentence_owns_up_to_trials_that_did_not_recover(tmp_path: Path) -> None:
    (finding,) = failover.findings(run_of(tmp_path, Story(), STUCK), "soon.", {"crash": 2000})
    assert "1 of 2 trials did not recover" in finding.answer


def test_a_fault_without_a_limit_is_not_judged(tmp_path: Path) -> None:
    assert failover.findings(run_of(tmp_path, Story()), "soon.", {"hang": 1}) == []


def test_the_probe_s_law_is_accepted_when_true_and_rejected_when_not() -> None:
    probe = ProbeSettings(period_s=10, timeout_s=1, failure_threshold=3)
    assert (probe.earliest_s, probe.latest_s) == (21, 31)
    rng = np.random.default_rng(1)
    lawful = [failover.hang_law_p(rng.uniform(21, 31, 20), probe) for _ in range(300)]
    assert np.mean(np.array(lawful) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert failover.hang_law_p(rng.uniform(11, 21, 20), probe) < 0.001
    assert math.isnan(failover.hang_law_p([25.0] * 4, probe))


def test_only_a_hang_is_held_against_the_probe_s_law(tmp_path: Path) -> None:
    hang = Story(fault="hang", outcome="timeout", detect_ms=3500.0, withdraw_ms=3503.0,
                 program_ms=dict.fromkeys(NODES, (3505.0, 3520.0)), watched_ms=9000.0)  # fmt: skip
    stories = {"crash": [Story()], "hang": [hang] * 5}
    run = load_run(failover_run(tmp_path, stories))
    crash, hung = failover.findings(run, "soon.", {"crash": 2000, "hang": 6000})
    assert "hang_law_p" not in crash.figures
    assert (hung.figures["hang_law_earliest_s"], hung.figures["hang_law_latest_s"]) == (3, 4)
    assert 0 <= hung.figures["hang_law_p"] <= 1


def test_a_run_without_traffic_still_has_its_control_plane_phases(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    silent = replace(run, samples=run.samples.iloc[:0])
    row = failover.metrics(silent).iloc[0]
    assert (row["detect_ms"], row["withdraw_ms"], row["offered_new"]) == (700, 703, 0)


def test_an_arm_whose_recovery_nobody_saw_is_undecided_not_silent(tmp_path: Path) -> None:
    run = run_of(tmp_path, *[Story()] * 5)
    late = run.samples[run.samples["scheduled_ns"] > 100_300 * 1e6]
    (finding,) = failover.findings(replace(run, samples=late), "soon.", {"crash": 2000})
    assert finding.verdict == "undecided"
    assert finding.answer.startswith("In none of its trials")
