"""Which bursts, clients and restarts count as uneven."""

from __future__ import annotations

from testbed.issues.imbalance import left_out, shunned, too_much

BACKENDS = ["web-0", "web-1", "web-2"]


def test_a_burst_that_leaves_a_backend_out() -> None:
    seen = left_out([BACKENDS, ["web-0", "web-0", "web-2"], ["web-1"] * 3], BACKENDS)
    assert (seen["attempts"], seen["shown"]) == (3, 2)
    assert seen["example"] == "One burst went to web-0, web-0, web-2"
    assert seen["idle_share"] == 3 / 9


def test_a_client_whose_requests_go_to_one_backend() -> None:
    even = BACKENDS * 4
    half = ["web-0"] * 6 + ["web-1"] * 3 + ["web-2"] * 3
    seen = too_much([even, half], BACKENDS)
    assert (seen["attempts"], seen["shown"]) == (2, 1)
    assert "50%" in seen["example"]


def test_a_pod_that_came_back_to_nothing() -> None:
    moved = [("web-0", "web-1", 1)] * 2 + [("web-1", "web-1", 0)] * 2 + [("web-2", "web-2", 0)] * 2
    seen = shunned(moved, "web-0", BACKENDS)
    assert (seen["attempts"], seen["shown"], seen["restarted_share"]) == (1, 1, 0.0)
    assert "web-0 2 then 0, web-1 2 then 4" in seen["example"]
    even = [(name, name, 1) for name in BACKENDS]
    assert shunned(even, "web-0", BACKENDS)["shown"] == 0


def test_who_had_nothing_cannot_lose_it() -> None:
    assert shunned([("web-1", "web-1", 0)], "web-0", BACKENDS)["attempts"] == 0
