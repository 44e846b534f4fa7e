"""Loops of switches carry on one way, and on another one when that is cut."""

from __future__ import annotations

import pytest

from testbed.fabric.tree import carrying
from tests.unit.fabric.test_plan import linked

RING = linked("n1-a", "n2-b", "a-b", "b-c", "c-a", "a-b")
"""A ring of three switches, and a second cable between two of them."""
MACHINES = {"n1:a", "n2:b"}


@pytest.mark.parametrize(
    ("out", "between_switches"),
    [
        ((), {"a:b", "b:c"}),
        (("a:b",), {"b:c", "c:a"}),
        (("b:c",), {"a:b", "c:a"}),
        (("a:b", "c:a"), {"b:c", "a:b:2"}),
        (("c:a", "a:b:2"), {"a:b", "b:c"}),
        (("a:b", "b:c", "c:a", "a:b:2"), set()),
    ],
)
def test_those_that_stand_first_carry(out: tuple[str, ...], between_switches: set[str]) -> None:
    assert carrying(RING, frozenset(out)) == MACHINES | between_switches


def test_links_between_machines_close_no_loop() -> None:
    found = linked("n1-r1", "n1-r2", "r1-r2", "r1-r2")
    assert carrying(found) == {cable.name for cable in found.cables}
