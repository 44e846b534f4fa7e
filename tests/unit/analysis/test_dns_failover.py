"""A DNS pod's death, on look-ups whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import dns_failover as experiment
from testbed.analysis import dns_failover
from testbed.analysis.dns_failover import LIBRARIES
from testbed.analysis.run import Run
from testbed.dns.libc import AGAIN, NO_SUCH_NAME, OK
from testbed.errors import UsageError
from testbed.report.dns_failover import figures

FAULT_NS = 10_000_000_000
TIMEOUT_S = 1.0
FACTORS = {name: values[0] for name, values in experiment.FACTORS.items()}


def rows_of(outage_s: float, *, fails: bool, name: str, busy: bool = False) -> list[list[Any]]:
    """Ten look-ups a second for 10 s around the fault; every other one within the outage is in trouble, and
    where the machine is `busy`, one before it.
    """
    found: list[list[Any]] = []
    good = OK if name == experiment.SAME_NAME else NO_SUCH_NAME
    for number in range(100):
        start_ns = FAULT_NS - 1_000_000_000 + number * 100_000_000
        hit = 0 <= start_ns - FAULT_NS < outage_s * 1e9 and number % 2 == 0
        hit = hit or (busy and number == 1)
        took_s = 0.001 if not hit else (2 * TIMEOUT_S if fails else TIMEOUT_S + 0.001)
        found.append([start_ns, int(took_s * 1e9), AGAIN if hit and fails else good, 2, 1, ""])
    return found


def run_of(*, fails: bool, outage_s: float = 1.0, blocks: int = 6, busy: bool = False) -> Run:
    trials = pd.DataFrame(
        [{"trial": f"b{block}", "block": block, **FACTORS} for block in range(blocks)]
    )
    streams = [
        {
            "library": library,
            "name": name,
            "rows": rows_of(outage_s, fails=fails, name=name, busy=busy),
        }
        for library in LIBRARIES
        for name in (experiment.SAME_NAME, experiment.NEW_NAME)
    ]
    events = []
    for trial in trials["trial"]:
        common = {"trial": trial, "object": "kube-system/coredns-0"}
        events.append(
            {**common, "t_ns": FAULT_NS, "source": "fault", "kind": "crash", "detail": {}}
        )
        detail = {"client": "n1", "streams": streams}
        events.append(
            {
                **common,
                "t_ns": FAULT_NS + 1,
                "source": "trial",
                "kind": dns_failover.NOTE,
                "detail": detail,
            }
        )
    meta = {"experiment": "dns-failover", "factors": {name: [v] for name, v in FACTORS.items()}}
    nothing = pd.DataFrame()
    return Run(Path(), meta, trials, nothing, nothing, pd.DataFrame(events))


def verdicts(run: Run) -> dict[str, str]:
    return {one.name: one.verdict for one in experiment.analyse(run)}


def test_look_ups_that_are_late_do_not_fail() -> None:
    run = run_of(fails=False)
    assert verdicts(run) == {"answers-in-the-end": "holds", "soon-over": "holds"}
    row = dns_failover.metrics(run).iloc[0]
    assert row["glibc_same_failed_share"] == 0
    # Up to the last one in trouble: numbers 0, 2, … 8 of 0 to 8.
    assert row["glibc_same_late_share"] == pytest.approx(5 / 9)
    assert row["glibc_same_trouble_ms"] == pytest.approx(800)


def test_look_ups_that_fail_are_counted_among_those_within_the_trouble() -> None:
    run = run_of(fails=True)
    assert verdicts(run) == {"answers-in-the-end": "does not hold", "soon-over": "holds"}
    assert dns_failover.metrics(run).iloc[0]["musl_new_failed_share"] == pytest.approx(5 / 9)


def test_trouble_that_lasts_longer_than_the_mechanisms_need_is_said() -> None:
    limit_s = experiment.limit_s(FACTORS)
    assert verdicts(run_of(fails=False, outage_s=limit_s + 2))["soon-over"] == "does not hold"


def test_a_trial_without_trouble_has_none() -> None:
    run = run_of(fails=False, outage_s=0.0)
    assert (dns_failover.per_stream(run)["trouble_ms"] == 0).all()
    assert verdicts(run) == {"answers-in-the-end": "holds", "soon-over": "holds"}


def test_nothing_is_decided_on_a_machine_that_was_too_busy_before_the_fault() -> None:
    run = run_of(fails=True, busy=True)
    assert set(verdicts(run).values()) == {"undecided"}
    assert "were in trouble already" in experiment.analyse(run)[0].answer
    assert dns_failover.metrics(run).iloc[0]["before_share"] == pytest.approx(1 / 8)


def test_its_figures_are_drawn_from_one_trial_up() -> None:
    for run in (run_of(fails=True, blocks=1), run_of(fails=False, outage_s=0.0)):
        assert set(figures(run)) == {"outcomes", "slowest", "one-trial"}


def test_faults_are_noticed_within_what_their_mechanism_takes() -> None:
    assert experiment.noticed_s(FACTORS | {"fault": "crash"}) == 1
    assert experiment.noticed_s(FACTORS | {"fault": "hang"}) == 31
    assert experiment.noticed_s(FACTORS | {"fault": "stop-node"}) == 55
    with pytest.raises(UsageError, match="no path 'x'"):
        experiment.topology(FACTORS | {"path": "x"})
