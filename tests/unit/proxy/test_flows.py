"""Every row of the flow table, traced through the planned rules of every node, in each mode, profile and IP
family: `python -m tests.flow_report` prints the same as a table.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.flow_report import traced
from tests.flows import FLOWS, PROFILES, STATES
from tests.tracers import PLANS, SUBJECTS, Subject


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("family", PLANS)
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.label)
def test_every_row(subject: Subject, family: int, profile: str) -> None:
    verdict = traced(subject, family, profile)
    assert verdict.wrong == {}, verdict.details()
    assert verdict.rows >= 150


def test_every_row_has_a_name_of_its_own_and_says_what_happens() -> None:
    assert [name for name, n in Counter(flow.name for flow in FLOWS).items() if n > 1] == []
    assert [flow.name for flow in FLOWS if not flow.answers and not flow.otherwise] == []
    assert {flow.state for flow in FLOWS} <= set(STATES)


def test_a_deviation_says_something_else_than_the_row() -> None:
    same = [
        flow.name
        for flow in FLOWS
        for deviation in flow.deviates.values()
        if (deviation.answers, deviation.otherwise) == (flow.answers, flow.otherwise)
        and not deviation.kept
    ]
    assert same == []
