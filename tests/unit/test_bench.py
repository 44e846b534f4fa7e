"""The bench's arithmetic: ratios the right way round, sides in turns."""

from __future__ import annotations

import json

import pytest

from bench.measure import Comparison, Goal, Side, in_turns, markdown

OURS, PEER = Side("ours", "1 process", (1.0, 2.0, 9.0)), Side("peer", "2 processes", (8.0, 4.0))


@pytest.mark.parametrize(
    ("peer", "quotient", "goal", "figure", "met"),
    [
        pytest.param(PEER, "ours / peer", Goal(0.5, True), 2 / 6, True, id="a cost, low enough"),
        pytest.param(PEER, "ours / peer", Goal(0.3, True), 2 / 6, False, id="a cost, too high"),
        pytest.param(PEER, "peer / ours", Goal(3, False), 3.0, True, id="times faster, enough"),
        pytest.param(PEER, "peer / ours", Goal(4, False), 3.0, False, id="times faster, too few"),
        pytest.param(None, "ours / peer", Goal(1.5, True), 2.0, False, id="no peer: the median"),
        pytest.param(PEER, "ours / peer", None, 2 / 6, True, id="no goal: nothing to miss"),
    ],
)
def test_medians_are_compared_with_the_goal(
    peer: Side | None, quotient: str, goal: Goal | None, figure: float, met: bool
) -> None:
    row = Comparison("work", "s", OURS, peer, goal, quotient)
    assert row.figure == pytest.approx(figure)
    assert row.met is met


def test_the_sides_go_in_turns_and_the_first_changes() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return len(order)

    ours, peer = in_turns(lambda: side("ours"), lambda: side("peer"), 3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert (ours, peer) == ((1.0, 4.0, 5.0), (2.0, 3.0, 6.0))


def test_a_missed_goal_stands_out_and_every_value_is_kept() -> None:
    row = Comparison("work", "s", OURS, PEER, Goal(0.3, True))
    assert "| work [1] | 2 s | 6 s | 0.333 | ≤ 0.3 | **no** |" in markdown([row])
    kept = json.loads(json.dumps(row.to_json()))
    assert kept["ours"]["values"] == [1.0, 2.0, 9.0]
    assert (kept["figure"], kept["met"]) == (pytest.approx(1 / 3), False)
