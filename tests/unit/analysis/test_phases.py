"""Phases of made-up failovers: every one is read back exactly, or said to be censored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.phases import Phase, phases_of, trials_of
from testbed.analysis.run import Run, load_run
from tests.unit.analysis.synthetic import NODES, POD, POD_UID, Story, failover_run

NEVER = dict.fromkeys(NODES)


def run_of(tmp_path: Path, story: Story) -> Run:
    return load_run(failover_run(tmp_path, {story.fault: [story]}))


def phases(tmp_path: Path, story: Story) -> dict[tuple[str, str], Phase]:
    ((_, trial),) = trials_of(run_of(tmp_path, story))
    return {(phase.name, phase.where): phase for phase in phases_of(trial)}


def test_every_phase_is_read_back_exactly(tmp_path: Path) -> None:
    found = phases(tmp_path, Story())
    assert found["detect", ""].end_ms == 700
    assert found["withdraw", ""].end_ms == 703
    spans = {
        node: (found["program", node].begin_ms, found["program", node].end_ms) for node in NODES
    }
    assert spans == {"n1": (705, 721), "n2": (706, 730), "n3": (710, 745)}
    assert not any(phase.censored for phase in found.values())


def test_older_failed_and_foreign_syncs_do_not_count_as_programmed(tmp_path: Path) -> None:
    """The log holds, right after the withdrawal, a sync of an older state, one that failed and one of the
    other IP family; `test_every_phase_is_read_back_exactly` finds none of them.
    """
    events = run_of(tmp_path, Story()).events
    late = events[(events["kind"] == "sync") & (events["t_ns"] > events["t_ns"].iloc[4])]
    assert len(late) == 3 + len(NODES)


def test_the_endpoint_is_that_of_the_family_that_was_dialled(tmp_path: Path) -> None:
    """Of a service in both families: one transaction writes both slices, and of the IPv6 proxies only n3's
    has synced since.
    """
    ((_, trial),) = trials_of(run_of(tmp_path, Story()))
    first = trial.events[trial.events["kind"] == "endpoint-not-ready"]
    ipv6 = first.assign(detail=[{**first["detail"].iloc[0], "pod_ip": "fd00:10:244::2"}])
    both = replace(
        trial,
        events=pd.concat([trial.events, ipv6]).sort_values("t_ns", kind="stable"),
        samples=trial.samples.assign(target="[fd00:10:96::7]:80"),
    )
    found = {(phase.name, phase.where): phase for phase in phases_of(both)}
    assert found["program", "n3"].end_ms == 703.8
    assert [where for name, where in found if name == "program"] == ["n3"]


def test_somebody_elses_proxy_has_no_phase_program(tmp_path: Path) -> None:
    ((_, trial),) = trials_of(run_of(tmp_path, Story()))
    silent = replace(trial, events=trial.events[trial.events["kind"] != "sync"])
    assert {phase.name for phase in phases_of(trial)} - {
        phase.name for phase in phases_of(silent)
    } == {"program"}


def test_recovery_is_the_first_request_after_the_last_failure(tmp_path: Path) -> None:
    """Requests are due at 1, 11, 21, … ms; every third is to the dead backend, until 721 ms."""
    story = Story()
    run = run_of(tmp_path, story)
    found = phases(tmp_path / "again", story)
    for node in story.clients:
        rows = run.samples[
            (run.samples["stream"] == "outage") & (run.samples["client_node"] == node)
        ]
        failed_ms = (rows.loc[rows["outcome"] == "refused", "scheduled_ns"] / 1e6) - 100_000
        assert found["recover", node].end_ms == failed_ms.max() + 10
        assert found["outage", node].begin_ms == failed_ms.min()
        assert found["effective", node].end_ms == pytest.approx(failed_ms.max() + 0.03)


def test_what_never_happened_is_censored_at_the_end_of_what_was_watched(tmp_path: Path) -> None:
    found = phases(
        tmp_path, Story(detect_ms=None, withdraw_ms=None, program_ms=NEVER, watched_ms=4000)
    )
    for (name, _), phase in found.items():
        assert phase.censored, name
        assert phase.end_ms == pytest.approx(4000, abs=50)


def test_a_node_that_never_synced_is_censored_alone(tmp_path: Path) -> None:
    found = phases(
        tmp_path, Story(program_ms={"n1": (705.0, 721.0), "n2": None, "n3": (710.0, 745.0)})
    )
    assert [found["program", node].censored for node in NODES] == [False, True, False]


def test_a_stopped_node_hits_all_its_pods_and_programs_nothing(tmp_path: Path) -> None:
    """The log is that of web-0 on n1, whose power goes: n1's own sync is no phase."""
    ((_, trial),) = trials_of(run_of(tmp_path, Story()))
    hit = (("default/client-0", "other"), (POD, POD_UID))
    found = phases_of(replace(trial, fault="stop-node", node="n1", pods=hit))
    assert {phase.where for phase in found if phase.name == "program"} == {"n2", "n3"}
    assert next(phase for phase in found if phase.name == "detect").end_ms == 700
    assert {phase.where for phase in found if phase.name == "effective"} == {"n1", "n2"}


def test_quiet_for_less_than_five_seconds_is_not_recovered(tmp_path: Path) -> None:
    assert phases(tmp_path, Story(watched_ms=5_600))["recover", "n1"].censored
    assert not phases(tmp_path / "longer", Story(watched_ms=5_800))["recover", "n1"].censored


def test_a_replacement_of_the_same_name_is_another_pod(tmp_path: Path) -> None:
    """web-0 is an endpoint again at 1.5 s: picks of it from then on are no sign of stale rules."""
    found = phases(tmp_path, Story(fault="delete", back_ms=1500.0))
    assert found["effective", "n1"].end_ms < 730


def test_a_second_outage_within_the_hold_puts_recovery_off(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    samples = run.samples.copy()
    later = (samples["stream"] == "outage") & (samples["scheduled_ns"] == 102_001 * 1e6)
    samples.loc[later, "outcome"] = "reset"
    ((_, trial),) = trials_of(
        Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events)
    )
    recover = [phase for phase in phases_of(trial) if phase.name == "recover"]
    assert {phase.end_ms for phase in recover} == {2011.0}


def test_a_client_that_saw_no_failure_has_no_outage(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    samples = run.samples.assign(outcome="ok")
    ((_, trial),) = trials_of(
        Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events)
    )
    outage = next(phase for phase in phases_of(trial) if phase.name == "outage")
    assert outage.begin_ms == outage.end_ms


def test_requests_still_in_flight_at_the_end_are_no_failures(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    last = run.samples["scheduled_ns"] > 107_900 * 1e6
    samples = run.samples.assign(outcome=run.samples["outcome"].where(~last, "censored"))
    ((_, trial),) = trials_of(
        Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events)
    )
    assert not any(phase.censored for phase in phases_of(trial))


def test_a_trial_without_a_fault_has_no_phases(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    events = run.events[run.events["source"] != "fault"]
    calm = Run(run.directory, run.meta, run.trials, run.samples, run.ledger, events)
    assert list(trials_of(calm)) == []


def test_a_stream_that_began_after_the_fault_tells_no_recovery(tmp_path: Path) -> None:
    run = run_of(tmp_path, Story())
    late = run.samples["scheduled_ns"] > 100_300 * 1e6
    ((_, trial),) = trials_of(
        Run(run.directory, run.meta, run.trials, run.samples[late], run.ledger, run.events)
    )
    assert not {"recover", "outage"} & {phase.name for phase in phases_of(trial)}


def test_a_deletion_that_withdraws_by_itself_has_nothing_to_detect(tmp_path: Path) -> None:
    found = phases(tmp_path, Story(fault="delete", detect_ms=None))
    assert ("detect", "") not in found
    assert found["withdraw", ""].end_ms == 703
