"""From what attempts saw to verdicts."""

from __future__ import annotations

import pytest

from testbed.analysis.run import Verdict
from testbed.claims.claim import Observation
from testbed.issues.issue import attempt
from testbed.issues.judging import many_a_trial, once_a_trial

KERNEL = "Linux 6.1"
SEEN, NOT, NONE = attempt(1, 1, "it stuck"), attempt(1, 0), attempt(0, 0, "no IPVS here")


@pytest.mark.parametrize(
    ("observed", "verdict", "says"),
    [
        ([SEEN] * 5, "holds", "Reproduced on Linux 6.1 in 5 of 5 trials (57% to 100%). it stuck."),
        ([SEEN, NOT, NOT, NOT, NOT], "holds", "in 1 of 5 trials (4% to 62%)"),
        ([NOT] * 5, "does not hold", "Not reproduced on Linux 6.1 in 5 trials, rate below 0.45"),
        ([NOT] * 4, "undecided", "rate below 0.53 (95 % confidence): too few to say below 0.5"),
        ([NOT] * 5 + [NONE] * 5, "does not hold", "in 5 trials"),
        ([NONE] * 5, "undecided", "It could not be attempted: no IPVS here."),
        ([attempt(0, 0)], "undecided", "Nothing of it could be attempted."),
    ],
)
def test_what_a_trial_tries_once(observed: list[Observation], verdict: Verdict, says: str) -> None:
    judged = once_a_trial(observed, KERNEL)
    assert judged.verdict == verdict
    assert says in judged.answer


@pytest.mark.parametrize(
    ("observed", "verdict", "says"),
    [
        ([attempt(100, 1)], "holds", "in 1 of 100 attempts of 1 trial, 0.01 per attempt."),
        (
            [attempt(100, 50)] * 5,
            "holds",
            "in 250 of 500 attempts of 5 trials, 0.5 per attempt (0.5",
        ),
        ([attempt(200, 0)] * 2, "does not hold", "in 400 attempts of 2 trials, rate below 0.0075"),
        ([attempt(20, 0)], "undecided", "rate below 0.14"),
        ([attempt(0, 0, "nobody answered")], "undecided", "nobody answered"),
    ],
)
def test_what_a_trial_tries_many_times(
    observed: list[Observation], verdict: Verdict, says: str
) -> None:
    judged = many_a_trial()(observed, KERNEL)
    assert judged.verdict == verdict
    assert says in judged.answer


def test_the_rate_is_one_number_per_trial() -> None:
    """Attempts of one trial are not pooled with those of another, whatever their number."""
    judged = many_a_trial()([attempt(10, 10), attempt(1000, 0)], KERNEL)
    assert judged.figures["rate"] == pytest.approx(0.5)
