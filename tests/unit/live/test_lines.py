"""Glances as lines."""

from __future__ import annotations

import pytest

from testbed.live.lines import event_text, glance_lines, pod_state, rate
from tests.unit.live.glances import TCP, endpoints, glance, happened, state

STATE = state()
SYNC = {"start_ns": 0, "end_ns": 3_200_000, "full": True}


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        (
            "container-died",
            {"detail": {"uid": "u", "exit_code": 137, "reason": ""}},
            "kubelet container-died web-0 n1 exit_code=137",
        ),
        ("sync", {"source": "proxy", "object": "", "detail": SYNC}, "proxy sync n1 3.2 ms"),
        (
            "sync",
            {"source": "proxy", "object": "", "detail": {**SYNC, "error": "no room"}},
            "proxy sync n1 3.2 ms no room",
        ),
        ("stall-proxy", {"source": "fault", "object": "n1"}, "fault stall-proxy n1"),
        ("ready", {"source": "lab", "object": "", "node": ""}, "lab ready"),
    ],
)
def test_an_event_in_a_line(kind: str, changes: dict[str, object], text: str) -> None:
    assert event_text(happened(kind, **changes)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ready": True}, "ready"),
        ({"ready": True, "restarts": 1}, "ready, 1 restart"),
        ({"ready": False, "restarts": 2}, "not ready, 2 restarts"),
        ({"ready": False, "phase": "Pending"}, "Pending"),
        ({"ready": False, "reason": "CrashLoopBackOff"}, "CrashLoopBackOff"),
    ],
)
def test_a_pod_in_words(changes: dict[str, object], text: str) -> None:
    assert pod_state({"phase": "Running", "reason": "", "restarts": 0, **changes}) == text


@pytest.mark.parametrize(("per_s", "text"), [(0.0, "-"), (12.34, "12.3/s"), (1234.5, "1234/s")])
def test_a_rate(per_s: float, text: str) -> None:
    assert rate(per_s) == text


def test_a_glance_tells_the_lab_what_happened_and_who_was_picked() -> None:
    one, other = endpoints(STATE)
    picks = [("n1", TCP, "10.96.0.9:80", one, 30), ("n2", TCP, "10.96.0.9:80", other, 10)]
    lines = list(glance_lines(glance(STATE, picks, (happened("container-died"),)), first=True))
    told = [line.partition(" ")[2] for line in lines]
    assert told == [
        "lab t, kernel host 6.1, proxy iptables-nft: 2 nodes, 3 of 3 pods ready",
        "kubelet container-died web-0 n1",
        "web 40/s: web-0 30/s (75 %), web-1 10/s (25 %)",
    ]


def test_where_nothing_changes_nothing_is_said() -> None:
    assert list(glance_lines(glance(STATE), first=False)) == []
