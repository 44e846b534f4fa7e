"""When a comparison fails a build: only what is shown to be worse by more than was accepted."""

from __future__ import annotations

import pytest

from testbed.analysis.compare import Row
from testbed.analysis.gate import Margin, Margins, judged, margins, worse_way
from testbed.errors import UsageError

FIVE = Margins(Margin(0.05, relative=True))


def row(
    metric: str, difference: float, low: float | None, high: float | None, *, real: bool = True
) -> Row:
    """A metric that was 100 in the first run."""
    return Row(metric, "", {}, 10, 10, 100.0, 100 + difference, difference, low, high, 0.01, 0.01,
               real)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found", "verdict"),
    [
        ("slower by more than the margin", row("recover_ms", 20, 10, 30), "worse"),
        ("slower, perhaps by no more than the margin", row("recover_ms", 7, 2, 12), "undecided"),
        ("slower by less than the margin", row("recover_ms", 2, 1, 3), "passes"),
        ("faster", row("recover_ms", -20, -30, -10), "passes"),
        ("anything between much faster and much slower",
         row("recover_ms", 0, -40, 40, real=False), "undecided"),
        ("beyond the margin but not real after correction",
         row("recover_ms", 20, 6, 34, real=False), "undecided"),
        ("no upper end", row("recover_ms", 20, 10, None), "worse"),
        ("too few trials", row("recover_ms", 20, None, None, real=False), "undecided"),
        ("less throughput", row("goodput_rps", -20, -30, -10), "worse"),
        ("more throughput", row("goodput_rps", 20, 10, 30), "passes"),
        ("a share is worse neither way", row("slow_share", 20, 10, 30), "not judged"),
    ],
)  # fmt: skip
def test_the_gate(name: str, found: Row, verdict: str) -> None:
    assert judged([found], FIVE)[0].verdict == verdict, name


def test_what_was_zero_may_not_rise() -> None:
    zero = Row("failed_new", "", {}, 9, 9, 0.0, 3.0, 3.0, 1.0, 5.0, 0.01, 0.01, True)
    assert judged([zero], FIVE)[0].verdict == "worse"


def test_without_margins_nothing_is_judged() -> None:
    assert judged([row("recover_ms", 20, 10, 30)], margins([]))[0].verdict == "not judged"


def test_a_metric_may_have_a_margin_of_its_own_in_its_unit() -> None:
    accepted = margins(["5%", "recover_ms=25", "cv=50%"])
    rows = [row("recover_ms", 20, 16, 24), row("cv", 20, 16, 24), row("max_over_mean", 20, 16, 24)]
    assert [one.verdict for one in judged(rows, accepted)] == ["passes", "passes", "worse"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5", "metrics have different units"),
        ("five%", "five% is no margin"),
        ("-5%", "is no margin"),
        ("inf%", "is no margin"),
        ("cv=", "nothing is no margin"),
    ],
)
def test_margins_that_are_none(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        margins([text])


def test_margins_of_metrics_that_cannot_be_judged() -> None:
    rows = [row("recover_ms", 0, -1, 1), row("slow_share", 0, -1, 1)]
    with pytest.raises(UsageError, match="did you mean recover_ms"):
        judged(rows, margins(["recovr_ms=5"]))
    with pytest.raises(UsageError, match="neither more nor less of it is worse"):
        judged(rows, margins(["slow_share=1%"]))


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("detect_ms", "more"), ("stale_ms_max", "more"), ("first_packet_us", "more"),
        ("cpu_start_s", "more"), ("jain", "less"), ("request_cv", "more"), ("random_cv", None),
        ("connections", None), ("failed_kept", "more"), ("entropy_bits", None),
        ("latency_over_direct", "more"), ("memory_mib", "more"),
    ],
)  # fmt: skip
def test_which_way_is_worse(metric: str, way: str | None) -> None:
    assert worse_way(metric) == way
