"""Findings on the page: what stands in one card, what in the matrix, and how they are counted."""

from __future__ import annotations

from testbed.analysis.run import Finding, Verdict
from testbed.report.answers import matrix, questions, tally


def found(name: str, arm: str, verdict: Verdict = "holds", **more: float) -> Finding:
    return Finding(f"Is {name} so?", "It is.", verdict, {"x_ms": 1.5, **more}, name=name, arm=arm)


FLAT, SPREAD = "flat-network", "even-spread"
CLAIMS = [
    found(FLAT, "iptables"), found(FLAT, "ipvs/rr"),
    found(SPREAD, "iptables", "undecided"), found(SPREAD, "ipvs/rr", "does not hold", y=2.0),
]  # fmt: skip


def test_one_question_of_many_arms_is_one_card() -> None:
    flat, spread = questions(CLAIMS)
    assert [answer.finding.arm for answer in flat.answers] == ["iptables", "ipvs/rr"]
    assert (flat.verdict, spread.verdict) == ("holds", "")
    assert spread.tally == "1 does not hold, 1 is undecided"


def test_the_matrix_has_a_row_a_claim_and_a_column_an_arm() -> None:
    found_matrix = matrix(questions([*CLAIMS, found("third", "ipvs/rr")]))
    assert found_matrix is not None
    assert found_matrix.columns == ("iptables", "ipvs/rr")
    verdicts = {
        label: [cell and cell.finding.verdict for cell in cells]
        for label, cells in found_matrix.rows
    }
    assert verdicts == {
        "Is flat-network so?": ["holds", "holds"],
        "Is even-spread so?": ["undecided", "does not hold"],
        "Is third so?": [None, "holds"],
    }


def test_findings_without_names_or_of_one_arm_make_no_matrix() -> None:
    assert matrix(questions([Finding("Why?", "", "holds"), Finding("How?", "", "holds")])) is None
    assert matrix(questions([found(FLAT, "iptables"), found(SPREAD, "iptables")])) is None


def test_each_answer_has_a_place_of_its_own() -> None:
    twice = [*CLAIMS, CLAIMS[0]]
    places = [answer.id for question in questions(twice, "r1-") for answer in question.answers]
    assert len(set(places)) == len(twice)
    assert all(place.startswith("r1-answer-") for place in places)


def test_the_numbers_of_all_arms_stand_side_by_side() -> None:
    _, spread = questions(CLAIMS)
    assert spread.numbers.columns == ("figure", "iptables", "ipvs/rr")
    assert spread.numbers.rows == (("x_ms", "1.5", "1.5"), ("y", "", "2"))


def test_a_p_value_says_whether_it_is_corrected() -> None:
    plain = Finding("Why?", "", "holds", p_value=0.012)
    corrected = Finding("How?", "", "holds", p_value=0.00001, adjusted_p=0.00004)
    shown = [question.answers[0].p for question in questions([plain, corrected, CLAIMS[0]])]
    assert shown == ["p = 0.012", "p < 0.0001, corrected", ""]


def test_the_tally_counts_every_verdict() -> None:
    assert tally(CLAIMS) == "2 hold, 1 does not hold, 1 is undecided"
    assert tally([]) == ""
