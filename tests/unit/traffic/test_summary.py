"""What `testbed load` prints of which samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed.cli.load import shown
from testbed.traffic.samples import COLUMNS
from testbed.traffic.spec import LoadSpec
from testbed.traffic.summary import latency_ms, summarise

MS = 1_000_000
OPEN = LoadSpec("client", "http://web/hostname", rate_rps=100, duration_s=10)
CLOSED = LoadSpec("client", "http://web/hostname", connections=1, duration_s=10)


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Samples, each with what it says and else an answer of web-0 after 1 ms."""
    filled = [
        {
            "scheduled_ns": number * 10 * MS + 1,
            "start_ns": number * 10 * MS + 1,
            "end_ns": number * 10 * MS + MS + 1,
            "connection": number,
            "outcome": "ok",
            "backend": "web-0",
        }
        | row
        for number, row in enumerate(rows)
    ]
    table = pd.DataFrame(filled, columns=list(COLUMNS))
    times = [name for name in COLUMNS if name.endswith("_ns")]
    return table.astype(dict.fromkeys(times, "Int64") | {"backend": "string", "outcome": "string"})


def backends(names: str) -> list[dict[str, Any]]:
    return [{"backend": f"web-{name}"} for name in names]


def test_counts_and_rate() -> None:
    rows = [{}, {}, {"outcome": "timeout", "backend": None}]
    summary = summarise(frame(rows), OPEN)
    assert summary["requests"] == 3
    assert summary["duration_s"] == 10
    assert summary["rate_rps"] == 0.3
    assert summary["outcomes"] == {"ok": 2, "timeout": 1}
    assert summary["backends"] == {"web-0": {"connections": 2, "requests": 2}}


def test_a_load_that_was_stopped_has_the_rate_that_it_had() -> None:
    assert summarise(frame([{}] * 10), OPEN, elapsed_s=2.0)["rate_rps"] == 5
    assert summarise(frame([{}] * 10), OPEN, elapsed_s=10.1)["duration_s"] == 10


def test_open_loop_counts_from_the_schedule_and_closed_loop_from_the_start() -> None:
    late = {"scheduled_ns": 1, "start_ns": 4 * MS + 1, "end_ns": 6 * MS + 1}
    assert latency_ms(frame([late]))["max"] == 6
    assert latency_ms(frame([late | {"scheduled_ns": None}]))["max"] == 2
    assert summarise(frame([late]), CLOSED)["loop"] == "closed"


def test_only_answers_have_a_latency_and_the_warm_up_has_none() -> None:
    rows = [{"end_ns": 900 * MS}, {}, {"outcome": "timeout", "end_ns": 5000 * MS}]
    assert latency_ms(frame(rows))["max"] > 100
    assert latency_ms(frame(rows), warmup_s=0.005) == {
        "p50": 1,
        "p90": 1,
        "p99": 1,
        "max": 1,
    }


def test_balance_is_of_connections_not_of_requests() -> None:
    rows = [*backends("01"), *[{"backend": "web-1", "connection": 1}] * 8]
    summary = summarise(frame(rows), OPEN)
    assert summary["backends"]["web-1"] == {"connections": 1, "requests": 9}
    assert summary["balance"]["jain"] == 1
    assert summary["balance"]["cv"] == 0


def test_a_backend_that_never_answered_counts() -> None:
    summary = summarise(frame(backends("01" * 10)), OPEN, backends=("web-0", "web-1", "web-2"))
    assert summary["backends"]["web-2"] == {"connections": 0, "requests": 0}
    assert summary["balance"]["jain"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary["balance"]["max_over_mean"] == pytest.approx(1.5)
    assert summary["balance"]["chi2_p"] < 0.05


def test_entropy_tells_a_random_pick_from_a_round_robin() -> None:
    rng = np.random.default_rng(1)
    random = summarise(frame(backends("".join(map(str, rng.integers(0, 3, 3000))))), OPEN)
    in_turn = summarise(frame(backends("012" * 1000)), OPEN)
    assert random["balance"]["entropy_bits"] == pytest.approx(np.log2(3), abs=0.01)
    assert in_turn["balance"]["entropy_bits"] == 0
    assert summarise(frame(backends("012")), OPEN)["balance"]["entropy_bits"] is None


@pytest.mark.parametrize("rows", [[], [{"outcome": "refused", "backend": None}]])
def test_without_an_answer_figures_are_null(rows: list[dict[str, Any]]) -> None:
    summary = summarise(frame(rows), OPEN)
    assert set(summary["balance"].values()) == {None}
    assert set(summary["latency_ms"].values()) == {None}
    json.dumps(summary, allow_nan=False)
    assert "BACKEND" not in shown(summary)


def test_people_read_a_table() -> None:
    text = shown(summarise(frame(backends("0010")), OPEN))
    assert "requests   4 in 10 s, 0.4/s, open loop" in text
    assert "outcomes   ok 4" in text
    assert "p50 1 ms" in text
    assert text.splitlines()[-2:] == [
        "web-0     3             75.0%   3",
        "web-1     1             25.0%   1",
    ]
    assert "service time" in shown(summarise(frame([{}]), CLOSED))
