"""Back-off between restarts, probe tallies, probe ticks: the arithmetic of a kubelet."""

from __future__ import annotations

import pytest

from testbed.controllers.probe_tally import ProbeTally, next_due_s
from testbed.controllers.restart_backoff import NO_BACKOFF
from testbed.controllers.timing import KubeletTiming
from testbed.model.containers import Probe, TCPSocketAction

TIMING = KubeletTiming()


def waits(runs_s: list[float]) -> list[float]:
    """How long each restart waits after the exit, for containers that run so long each time."""
    backoff, now_s, waited = NO_BACKOFF, 0.0, []
    for run_s in runs_s:
        finished_s = now_s + run_s
        now_s = backoff.restart_at_s(finished_s, TIMING)
        waited.append(now_s - finished_s)
        backoff = backoff.after_restart(finished_s, now_s, TIMING)
    return waited


@pytest.mark.parametrize(
    ("name", "runs_s", "expected"),
    [
        ("at once, then doubling to the maximum", [1] * 8, [0, 10, 20, 40, 80, 160, 300, 300]),
        ("a run of exactly ten minutes does not count as recovered", [1, 1, 600], [0, 10, 20]),
        ("a longer run starts afresh", [1, 1, 601, 1], [0, 10, 0, 10]),
        ("the first run may take as long as it will", [9999, 1], [0, 10]),
    ],
)
def test_waits(name: str, runs_s: list[float], expected: list[float]) -> None:
    assert waits(runs_s) == expected


def probe(success: int = 1, failure: int = 3) -> Probe:
    return Probe(TCPSocketAction(8080), success_threshold=success, failure_threshold=failure)


@pytest.mark.parametrize(
    ("name", "thresholds", "initially", "outcomes", "verdicts"),
    [
        # outcomes and verdicts: + success, - failure
        ("one success is enough", (1, 3), "-", "+", "+"),
        ("the third failure in a row counts", (1, 3), "+", "---", "++-"),
        ("a success in between starts the count again", (1, 3), "+", "--+---", "+++++-"),
        ("several successes may be asked for", (2, 1), "-", "+-++", "---+"),
        ("a threshold of one", (1, 1), "+", "-+-", "-+-"),
        ("before any success it stays not ready", (1, 3), "-", "--", "--"),
    ],
)
def test_tally(
    name: str, thresholds: tuple[int, int], initially: str, outcomes: str, verdicts: str
) -> None:
    tally, seen = ProbeTally(initially == "+"), ""
    for outcome in outcomes:
        tally = tally.after(outcome == "+", probe(*thresholds))
        seen += "+" if tally.verdict else "-"
    assert seen == verdicts


@pytest.mark.parametrize(
    ("name", "ended_s", "expected"),
    [
        ("a quick probe waits for the next tick", 100.2, 110.0),
        ("a probe as long as its period is followed at once", 110.0, 110.0),
        ("a probe that outlasts a tick is followed at once", 113.0, 110.0),
        ("missed ticks are not made up for", 139.0, 130.0),
    ],
)
def test_ticks(name: str, ended_s: float, expected: float) -> None:
    assert next_due_s(100.0, 10.0, ended_s) == expected
