"""Which flows went on to where they must not."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.claims.entries import Entry
from testbed.issues.stale import Heir, Sender, judged

SENDER = Sender("udp-endpoint-replaced", "client-n1-1", "10.96.0.9", 53)
GONE, HEIR = "10.244.0.7", "10.244.1.8"
SETTLED_NS = 1_000


def known(reply_src: str) -> dict[str, list[Entry]]:
    entry = Entry("10.244.0.2:4000", "10.96.0.9:53", f"{reply_src}:8080", "10.244.0.2:4000", True)
    return {"n1": [], "n2": [entry]}


def rows(*answers: str) -> list[list[Any]]:
    """Requests after everything was in place, and one before it that never counts."""
    before = [[SETTLED_NS - 1, "old-0", ""]]
    after = [[SETTLED_NS + at, who, "" if who else "timeout"] for at, who in enumerate(answers)]
    return before + after


@pytest.mark.parametrize(
    ("answers", "heir", "leads_to", "attempts", "shown"),
    [
        pytest.param(["new-1", "new-1"], Heir("new", GONE), HEIR, 1, 0, id="follows"),
        pytest.param(["", "new-1"], Heir("new", GONE), HEIR, 1, 0, id="one datagram lost"),
        pytest.param(["", ""], Heir("new", GONE), GONE, 1, 1, id="silence"),
        pytest.param(["old-0", "old-0"], Heir("new", GONE), GONE, 1, 1, id="the withdrawn pod"),
        pytest.param(["new-1"], Heir("new", GONE), HEIR, 0, 0, id="too few to count"),
        pytest.param(["", ""], Heir("", GONE), "10.96.0.9", 1, 0, id="nobody left, refused"),
        pytest.param(["", ""], Heir("", GONE), GONE, 1, 1, id="nobody left, led to the dead"),
        pytest.param(["old-0", ""], Heir("", GONE), GONE, 1, 1, id="nobody left, yet answered"),
    ],
)
def test_an_attempt(
    answers: list[str], heir: Heir, leads_to: str, attempts: int, shown: int
) -> None:
    seen = judged([(SENDER, rows(*answers))], heir, SETTLED_NS, known(leads_to))
    assert (seen["attempts"], seen["shown"]) == (attempts, shown)
    assert bool(seen["example"]) == bool(shown or not attempts)


def test_one_stuck_flow_among_several_is_one_attempt_that_shows_it() -> None:
    flows = [(SENDER, rows("new-1", "new-1")), (SENDER, rows("", ""))]
    seen = judged(flows, Heir("new", GONE), SETTLED_NS, known(GONE))
    assert (seen["attempts"], seen["shown"], seen["flows"], seen["stuck"]) == (1, 1, 2, 1)
    assert "its entry leads to 10.244.0.7:8080" in seen["example"]
