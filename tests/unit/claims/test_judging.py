"""Verdicts on what must always be so, and on what is so on average."""

from __future__ import annotations

import pytest

from testbed.analysis.run import Verdict
from testbed.claims.claim import Observation
from testbed.claims.judging import always, exception_bound, mostly, saw

SO = saw(10, 10)
ONCE_NOT = saw(10, 9, "web-0 was silent")
UNSEEN = saw(0, 0, "no flow led there")


@pytest.mark.parametrize(
    ("observed", "verdict", "says"),
    [
        ([SO], "holds", "all 10 attempts of 1 trial."),
        ([SO] * 5, "holds", "at most 45% of trials would show an exception"),
        ([SO, ONCE_NOT], "does not hold", "1 of 20 attempts say otherwise: web-0 was silent"),
        ([UNSEEN], "undecided", "no flow led there"),
        ([saw(0, 0)], "undecided", "Nothing of it could be observed."),
        ([UNSEEN, SO], "holds", "all 10 attempts of 1 trial."),
    ],
)
def test_one_exception_refutes(observed: list[Observation], verdict: Verdict, says: str) -> None:
    judged = always(observed, "nftables")
    assert (judged.verdict, judged.p_value) == (verdict, None)
    assert says in judged.answer


def test_the_bound_is_the_exact_rule_of_three() -> None:
    assert exception_bound(20) == pytest.approx(0.139, abs=0.001)
    assert exception_bound(300) == pytest.approx(3 / 300, rel=0.01)


def test_figures_with_units_are_averaged_and_a_remark_is_told() -> None:
    judged = always([saw(1, 1, window_ms=10.0), saw(1, 1, window_ms=30.0, remark="So far.")], "")
    assert judged.figures["window_ms"] == 20.0
    assert judged.answer.endswith("So far.")


@pytest.mark.parametrize(
    ("agreed", "verdict"),
    [((100, 100), "holds"), ((95, 91), "holds"), ((100, 89), "does not hold")],
)
def test_what_must_mostly_be_so_is_so_in_every_trial(
    agreed: tuple[int, int], verdict: Verdict
) -> None:
    observed = [saw(100, number, "some were silent") for number in agreed]
    assert mostly(0.9)(observed, "userspace").verdict == verdict
