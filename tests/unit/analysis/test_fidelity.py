"""What the fidelity meter says of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis.fidelity import TITLES, summary
from testbed.analysis.run import Run
from testbed.analysis.validity import Limits, limits_of, reasons
from testbed.experiment.columns import LEDGER, SAMPLES, SIGNALS

EMPTY = pd.DataFrame()


def run_of(rows: list[dict[str, Any]], **meta: Any) -> Run:
    settings = {"experiment": "x", "factors": {"fault": ["crash", "hang"]}}
    return Run(Path(), settings | meta, pd.DataFrame(rows), EMPTY, EMPTY, EMPTY)


def trial(name: str, fault: str, reason: str = "", **signals: Any) -> dict[str, Any]:
    return {
        "trial": name,
        "block": name[:3],
        "fault": fault,
        "valid": not reason,
        "invalid_reason": reason,
        "steal_share": 0.0,
        **signals,
    }


def test_signals_are_shown_with_the_limit_that_judged_them() -> None:
    run = run_of(
        [
            trial("b00-a0", "crash", control_lag_p99_ms=1.0, link_dropped=7),
            trial("b00-a1", "hang", control_lag_p99_ms=3.0, link_dropped=None),
            trial("b01-a0", "crash", "late", control_lag_p99_ms=80.0, link_dropped=9),
        ]
    )
    found = {signal.name: signal for signal in summary(run).signals}
    lag = found["control_lag_p99_ms"]
    assert (lag.limit, lag.median, lag.worst, lag.over, lag.known) == (20.0, 3.0, 80.0, 1, 3)
    assert (found["link_dropped"].limit, found["link_dropped"].known) == (None, 2)
    assert "run_delay_share" not in found


@pytest.mark.parametrize(
    ("meta", "limit"),
    [({}, 20.0), ({"profile": "smoke"}, 250.0), ({"measures_times": False}, None)],
)
def test_limits_are_those_of_the_experiment_and_the_profile(
    meta: dict[str, Any], limit: float | None
) -> None:
    run = run_of([trial("b00-a0", "crash", control_lag_p99_ms=1.0)], **meta)
    assert {signal.name: signal.limit for signal in summary(run).signals}[
        "control_lag_p99_ms"
    ] == limit


def test_exclusions_are_counted_by_arm_and_kind() -> None:
    late = "the generator was late: p99 {} ms on the control stream"
    run = run_of(
        [
            trial("b00-a0", "crash", late.format(31.2) + "; conntrack drop rose by 2"),
            trial("b00-a1", "hang", "its block was dropped for b00-a0"),
            trial("b01-a0", "crash", late.format(40)),
            trial("b02-a0", "crash"),
            trial("b02-a1", "hang"),
        ]
    )
    crash, hang = summary(run).arms
    assert (crash.arm, crash.trials, crash.excluded) == ("fault=crash", 3, 2)
    assert crash.reasons == (("late generator", 2), ("connections lost by conntrack", 1))
    assert (hang.excluded, hang.reasons) == (1, (("another trial of its block", 1),))


def test_every_signal_has_a_title() -> None:
    assert set(TITLES) == set(SIGNALS)


NO_SAMPLES, NO_LEDGER = (
    pd.DataFrame(columns=pd.Index(SAMPLES)),
    pd.DataFrame(columns=pd.Index(LEDGER)),
)


@pytest.mark.parametrize(
    ("signals", "says"),
    [
        ({"softnet_dropped": 3}, "dropped 3 packets"),
        ({"conntrack_fill_share": 0.97}, "97% full"),
        ({"steal_share": 0.2}, "20.0% of the CPU"),
        ({"link_dropped": 50, "softnet_squeezed": 9, "cpu_pressure_share": 1.0}, ""),
        ({"softnet_dropped": None, "conntrack_fill_share": None}, ""),
    ],
)
def test_what_the_host_says_is_judged_and_what_the_subject_may_cause_is_not(
    signals: dict[str, Any], says: str
) -> None:
    found = reasons(NO_SAMPLES, NO_LEDGER, signals, Limits())
    assert len(found) == bool(says)
    assert says in "".join(found)


@pytest.mark.parametrize("signals", [{"softnet_dropped": 3}, {"steal_share": 0.2}])
def test_waiting_spoils_times_only(signals: dict[str, Any]) -> None:
    assert not reasons(NO_SAMPLES, NO_LEDGER, signals, limits_of(False, "default"))
    assert reasons(NO_SAMPLES, NO_LEDGER, signals, limits_of(True, "default"))


@pytest.mark.parametrize(("share", "counts"), [(0.2, True), (0.6, False)])
def test_a_smoke_run_gets_by_on_a_machine_that_others_use(share: float, counts: bool) -> None:
    found = reasons(NO_SAMPLES, NO_LEDGER, {"steal_share": share}, limits_of(True, "smoke"))
    assert (not found) == counts
