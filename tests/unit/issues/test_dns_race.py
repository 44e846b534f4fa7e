"""Pairs of which one answer never came."""

from __future__ import annotations

from testbed.issues.dns_race import COUNTERS, lost

COUNTED = dict.fromkeys(COUNTERS, 0) | {"clash_resolve": 7}


def test_a_pair_that_lost_an_answer() -> None:
    seen = lost({"cpus": 2, "answers": [2, 2, 1, 0]}, COUNTED)
    assert (seen["attempts"], seen["shown"]) == (3, 1)
    assert "insert_failed 0, clash_resolve 7" in seen["remark"]


def test_a_service_that_does_not_answer_shows_nothing() -> None:
    assert lost({"cpus": 2, "answers": [0] * 5}, COUNTED)["attempts"] == 0


def test_on_one_cpu_nothing_is_sent_at_once() -> None:
    seen = lost({"cpus": 1, "answers": []}, COUNTED)
    assert (seen["attempts"], seen["example"][:24]) == (0, "the kernel has one CPU, ")
