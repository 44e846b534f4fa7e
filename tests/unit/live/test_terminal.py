"""What stands on a terminal, at several sizes."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from testbed.live.terminal import Screen
from testbed.live.watcher import Glance
from tests.unit.live.glances import TCP, endpoints, glance, happened, state

STATE = state()
ONE, OTHER = endpoints(STATE)
GLANCE = glance(
    STATE,
    [("n1", TCP, "10.96.0.9:80", ONE, 30), ("n2", TCP, "10.96.0.9:80", OTHER, 10)],
    (happened("container-died"),),
)
WIDE, NARROW = (120, 30), (80, 24)
MANY_NODES = ", ".join(f"n{number}: {{}}" for number in range(1, 31))
CROWD = glance(
    state(
        f"name: t\nnodes: {{{MANY_NODES}}}\nworkloads: {{web: {{replicas: 300}}}}\n"
        "services: {web: {port: 80}}\ndns: {replicas: 0}\n"
    )
)


def shown(screen: Screen, size: tuple[int, int]) -> str:
    out = StringIO()
    width, height = size
    Console(file=out, width=width, height=height).print(screen.drawn(width, height))
    return out.getvalue()


def screen(one: Glance = GLANCE, *keys: str) -> Screen:
    """After the keys, each of which finds the screen drawn."""
    made = Screen()
    made.take(one)
    for key in keys:
        shown(made, WIDE)
        made.press(key)
    return made


@pytest.mark.parametrize("size", [WIDE, NARROW, (200, 60), (40, 10), (20, 5)])
def test_it_fits_and_says_the_most(size: tuple[int, int]) -> None:
    text = shown(screen(), size)
    lines = text.splitlines()
    assert max(map(len, lines)) <= size[0]
    assert len(lines) <= size[1]
    assert text.startswith("t  kernel")


def test_a_wide_one_has_nodes_beside_services() -> None:
    text = shown(screen(), WIDE)
    for wanted in (
        "n1  ",
        "web-0  ",
        "10.96.0.9:80/TCP",
        "75 %",
        "container-died web-0",
        "q quits",
    ):
        assert wanted in text


def test_a_narrow_one_has_them_in_turn() -> None:
    assert "75 %" in shown(screen(), NARROW)
    text = shown(screen(GLANCE, "\t"), NARROW)
    assert "75 %" not in text
    assert "nodes and pods" in text


def test_a_service_without_endpoints_says_so() -> None:
    assert "no endpoints" in shown(screen(), WIDE)


def test_what_does_not_fit_is_counted_and_reached_by_scrolling() -> None:
    assert "more rows below" in shown(screen(CROWD), WIDE)
    assert "web-0 " in shown(screen(CROWD), WIDE)
    end = shown(screen(CROWD, "G"), WIDE)
    assert "web-299" in end
    assert "web-299" in shown(screen(CROWD, *[" "] * 30), WIDE)
    assert "web-299" not in shown(screen(CROWD, "G", "g"), WIDE)
    nodes = shown(screen(CROWD, "\t", "\x1b[F"), WIDE)
    assert "n9  " in nodes
    assert "and 8 more" in nodes


def test_a_pod_that_is_not_ready_comes_first_and_says_so() -> None:
    *others, last = STATE["pods"]
    failing = {**last, "node": "n1", "ready": False, "reason": "CrashLoopBackOff", "restarts": 4}
    first = {**others[0], "node": "n1"}
    text = shown(screen(glance({**STATE, "pods": [first, failing]})), WIDE)
    assert text.index("CrashLoopBackOff") < text.index(f"{first['name']} ")
    assert "1 of 2 pods ready" in text
