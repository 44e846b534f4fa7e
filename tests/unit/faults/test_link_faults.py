"""Faults of links: how they are written, which links they mean, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import NotFound, UsageError
from testbed.fabric.plan import plan
from testbed.faults.fault import parse_fault
from testbed.faults.link_choice import checked_groups, chosen
from testbed.faults.link_fault import LinkFault, Partition, ends_of, link_fault, partition
from testbed.model.shape import Shape
from testbed.model.topology import Topology

RACKS: dict[str, Any] = {
    "name": "racks",
    "nodes": {"n1": {}, "n2": {}},
    "routers": {"spine": {}},
    "links": [
        {"endpoints": ["n1", "tor1"]},
        {"endpoints": ["tor1", "spine"], "delay": "1ms"},
        {"endpoints": ["spine", "tor1"]},
        {"endpoints": ["n2", "tor2"]},
        {"endpoints": ["tor2", "spine"]},
    ],
}
FABRIC = plan(Topology.model_validate(RACKS))

WRITTEN: list[tuple[str, LinkFault]] = [
    ("cut n1", LinkFault("cut", ("n1",))),
    ("cut tor1 spine", LinkFault("cut", ("tor1", "spine"))),
    ("cut tor1:spine", LinkFault("cut", ("tor1:spine",))),
    (
        "impair n1 --delay 20ms --jitter 2ms --loss 1% --direction out",
        LinkFault("impair", ("n1",), {"delay_s": 0.02, "jitter_s": 0.002, "loss": 0.01}, "out"),
    ),
    (
        "impair n1 tor1 --rate 100mbit --queue 50",
        LinkFault("impair", ("n1", "tor1"), {"rate_bps": 1e8, "queue": 50}),
    ),
    ("heal n1 tor1", LinkFault("heal", ("n1", "tor1"))),
]


@pytest.mark.parametrize(("text", "fault"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_written(text: str, fault: LinkFault) -> None:
    kind, where, options = parse_fault(text.split())
    assert link_fault(kind, where, options) == fault


def test_groups_are_words_of_names_joined_by_commas() -> None:
    _, where, _ = parse_fault(["partition", "n1,n2", "n3", "client"])
    assert partition(where) == Partition((("n1", "n2"), ("n3",), ("client",)))


MISTAKES: list[tuple[str, str]] = [
    ("cut n1 n2 n3", "for a link, a machine or two machines, not for 3"),
    ("cut n1 n1", "no link to itself"),
    ("impair n1", "at least one of --delay, --loss, --rate"),
    ("impair n1 --direction out", "at least one of"),
    ("impair n1 --loss 1% --direction up", "there is no 'up'"),
    ("partition n1", "at least two groups"),
    ("partition n1,n2 n2", "n2 is named twice"),
    ("partition n1,,n2 n3", "empty name"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes(text: str, says: str) -> None:
    kind, where, options = parse_fault(text.split())
    with pytest.raises(UsageError, match=says):
        partition(where) if kind == "partition" else link_fault(kind, where, options)


CHOSEN: dict[str, list[tuple[str, int]]] = {
    "n1": [("n1:tor1", 0)],
    "tor1": [("n1:tor1", 1), ("tor1:spine", 0), ("spine:tor1:2", 1)],
    "tor1 n1": [("n1:tor1", 1)],
    "spine tor1": [("tor1:spine", 1), ("spine:tor1:2", 0)],
    "spine:tor1:2": [("spine:tor1:2", 0)],
}


@pytest.mark.parametrize("where", CHOSEN)
def test_which_links_are_meant(where: str) -> None:
    found = chosen(where.split(), FABRIC)
    assert [(one.cable.name, one.first_is) for one in found] == CHOSEN[where]


NOWHERE: list[tuple[str, str]] = [
    ("n1 n2", "no link joins n1 and n2 .*n1:tor1; `partition n1 n2`"),
    ("n9", "no link or machine 'n9' .machines: n1, n2, spine"),
    ("n1 tr1", "no machine 'tr1' .did you mean tor1"),
    ("tor1:spime", "no link or machine .*tor1:spine"),
]


@pytest.mark.parametrize(("where", "says"), NOWHERE, ids=[row[0] for row in NOWHERE])
def test_links_to_nowhere(where: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        chosen(where.split(), FABRIC)


def test_sides_are_machines_and_the_control_plane() -> None:
    checked_groups((("n1", FABRIC.control_plane), ("n2", "spine")), FABRIC)
    with pytest.raises(UsageError, match="tor2 is a switch: it is on no side itself"):
        checked_groups((("n1",), ("tor2",)), FABRIC)
    with pytest.raises(NotFound, match="no machine 'n9'"):
        checked_groups((("n1",), ("n9",)), FABRIC)


@pytest.mark.parametrize(
    ("direction", "first_is", "ends"),
    [("both", 1, (0, 1)), ("out", 0, (0,)), ("out", 1, (1,)), ("in", 1, (0,))],
)
def test_a_direction_is_where_packets_enter(
    direction: str, first_is: int, ends: tuple[int, ...]
) -> None:
    assert ends_of(direction, first_is=first_is) == ends


def test_what_an_impairment_does_not_say_is_as_in_the_file() -> None:
    in_file = Shape(delay_s=0.001, rate_bps=1e9)
    lossy = LinkFault("impair", ("n1",), {"loss": 0.01})
    assert lossy.shaped(in_file) == Shape(delay_s=0.001, loss=0.01, rate_bps=1e9)
    slow = LinkFault("impair", ("n1",), {"delay_s": 0.01})
    assert slow.shaped(Shape(delay_s=0.1, jitter_s=0.05)) == Shape(delay_s=0.01)
    with pytest.raises(UsageError, match="jitter is more than delay"):
        LinkFault("impair", ("n1",), {"jitter_s": 0.01}).shaped(in_file)
