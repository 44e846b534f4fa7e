"""Many answers from one run: what is corrected, how, and that the errors stay where they should."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.multiplicity import corrected
from testbed.analysis.run import Finding, Verdict


def finding(
    p_value: float | None, verdict: Verdict = "holds", *, confirmatory: bool = True
) -> Finding:
    return Finding(
        "?", "h", verdict, answer="So it is.", p_value=p_value, confirmatory=confirmatory
    )


def test_confirmatory_answers_are_corrected_after_holm() -> None:
    found = corrected([finding(p) for p in (0.01, 0.04, 0.03, 0.005)])
    assert [one.adjusted_p for one in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [one.verdict for one in found] == ["holds", "undecided", "undecided", "holds"]


def test_the_others_after_benjamini_and_hochberg_and_apart() -> None:
    found = corrected([finding(p, confirmatory=False) for p in (0.01, 0.04)] + [finding(0.04)])
    assert [one.adjusted_p for one in found] == pytest.approx([0.02, 0.04, 0.04])
    assert {one.verdict for one in found} == {"holds"}


def test_the_answer_says_so_where_the_correction_changed_the_verdict() -> None:
    found = corrected([finding(0.04, "does not hold"), finding(0.9, "undecided")])
    assert found[0].verdict == "undecided"
    assert "Alone this would be “does not hold” (p = 0.04)" in found[0].answer
    assert "p = 0.08, Holm over 2 answers" in found[0].answer
    assert found[1].answer == "So it is."


def test_without_chance_there_is_nothing_to_correct() -> None:
    certain = finding(None)
    assert corrected([certain, finding(0.04)]) == [
        certain,
        corrected([finding(0.04)])[0],
    ]


def test_corrected_twice_is_corrected_once() -> None:
    once = corrected([finding(0.01), finding(0.04)])
    assert corrected(once) == once
    assert corrected([]) == []


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize(
    "means", [(1.0,) * 4, (-1.0, 0.0, 1.0, 3.0), (0.9, 1.1, 1.0, 0.0)], ids=str
)
def test_in_19_of_20_runs_no_answer_is_wrong(n: int, means: tuple[float, ...]) -> None:
    """Four claims of "within 1 of 0", some true, some not, some right at the margin."""
    rng = np.random.default_rng([n, *(int(10 * mean) + 100 for mean in means)])
    wrong = 0
    for _ in range(RUNS):
        tests = [decided([equivalence(rng.normal(mean, 0.5, n), 0.0, 1.0)]) for mean in means]
        answers = corrected([finding(one.p_value, one.verdict) for one in tests])
        wrong += any(
            one.verdict == ("does not hold" if abs(mean) < 1 else "holds")
            for one, mean in zip(answers, means, strict=True)
        )
    assert wrong / RUNS <= 0.05 + 3 * (0.05 * 0.95 / RUNS) ** 0.5


RUNS = 250
