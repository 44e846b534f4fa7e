"""Two runs whose truth is known: differences that are there are found, others are not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed.analysis.compare import compare, frame
from testbed.analysis.run import Run
from testbed.errors import UsageError

EMPTY = pd.DataFrame()
ARMS = ("iptables-nft", "ipvs/rr", "userspace")


def run_of(
    metrics: dict[str, Any], blocks: int, *, arms: tuple[str, ...] = ARMS, **meta: Any
) -> Run:
    """A run whose metrics are drawn by functions of (number of trials)."""
    rows = [
        {"trial": f"b{block}-{arm}", "block": f"b{block}", "proxy": arm, "rate_rps": 90.0,
         "steal_share": 0.0, "insert_failed": 0, "valid": True}
        for block in range(blocks) for arm in arms
    ]  # fmt: skip
    trials = pd.DataFrame(rows)
    for name, draw in metrics.items():
        trials[name] = draw(len(trials))
    settings = {
        "experiment": "modes",
        "profile": "default",
        "factors": {"proxy": list(arms), "rate_rps": [90.0]},
        "environment": {"kernel": {"carrier": "host", "release": "6.1"}},
        "timing": {},
    }
    return Run(Path(), settings | meta, trials, EMPTY, EMPTY, EMPTY)


def noise(seed: int, faster: float = 1.0) -> dict[str, Any]:
    """Six metrics of the shapes that ours have."""
    rng = np.random.default_rng(seed)
    return {
        "cv": lambda n: rng.gamma(4, 0.01, n),
        "recover_ms": lambda n: faster * rng.lognormal(6, 0.6, n),
        "latency_over_direct": lambda n: rng.normal(1.3, 0.1, n),
        "failed": lambda n: rng.poisson(3, n),
        "program_ms": lambda n: rng.lognormal(2, 0.3, n),
        "jain": lambda n: 1 - rng.gamma(2, 0.002, n),
    }


@pytest.mark.parametrize("blocks", [5, 10, 20])
def test_of_runs_that_differ_in_their_seed_19_of_20_rows_hold_0_and_none_is_called_real(
    blocks: int,
) -> None:
    rows = pd.concat(
        frame(compare(run_of(noise(2 * pair), blocks), run_of(noise(2 * pair + 1), blocks)))
        for pair in range(30)
    )
    assert len(rows) == 30 * 6 * len(ARMS)
    holds_0 = (rows["ci_low"] <= 0) & (rows["ci_high"] >= 0)
    # 18 rows of a pair are independent here: three standard errors around 95 %.
    assert holds_0.mean() >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(rows))
    # With nothing to find, any is false: in 5 % of the pairs there may be one.
    assert rows["real"].sum() <= 0.05 * 30 + 3 * math.sqrt(0.05 * 0.95 * 30)


def test_the_interval_holds_the_true_difference_of_geometric_means() -> None:
    truth = (2.0 - 1.0) * math.exp(6)
    held = []
    for seed in range(60):
        found = compare(run_of(noise(2 * seed), 10), run_of(noise(2 * seed + 1, 2.0), 10))
        held += [
            row.ci_low <= truth <= row.ci_high
            for row in found.rows
            if row.metric == "recover_ms" and row.ci_low is not None and row.ci_high is not None
        ]
    assert len(held) == 180
    assert np.mean(held) == pytest.approx(0.95, abs=0.05)


def test_what_differs_is_real_and_the_rest_is_not() -> None:
    found = compare(run_of(noise(1), 20), run_of(noise(2, 3.0), 20))
    assert {row.metric for row in found.rows if row.real} == {"recover_ms"}
    assert all(row.q is not None and row.p is not None and row.q >= row.p for row in found.rows)
    slower = next(row for row in found.rows if row.metric == "recover_ms")
    assert slower.difference is not None
    assert slower.difference > 0
    assert (slower.unit, slower.n_a, slower.n_b) == ("ms", 20, 20)


def test_a_time_that_was_not_reached_counts_as_longer() -> None:
    def run(lost: bool) -> Run:
        rng = np.random.default_rng(int(lost))
        return run_of(
            {
                "recover_ms": lambda n: rng.lognormal(2, 0.1, n) if not lost else np.full(n, 900.0),
                "recover_censored": lambda n: np.arange(n) % 4 == 0 if lost else np.zeros(n, bool),
            },
            10,
            arms=ARMS[:1],
        )

    (row,) = compare(run(False), run(True)).rows
    assert (row.metric, row.real, row.mean_b) == ("recover_ms", True, 900.0)
    assert row.method == "Kaplan-Meier median, log-rank"


def test_below_five_trials_nothing_is_real() -> None:
    found = compare(run_of(noise(1), 4), run_of(noise(2, 50.0), 10))
    assert not any(row.real for row in found.rows)
    assert {(row.ci_low, row.p, row.q) for row in found.rows} == {(None, None, None)}


def test_figures_without_any_spread_differ_or_they_do_not() -> None:
    a, b = (
        run_of({"same": lambda n: np.full(n, 3), "more": lambda n, m=m: np.full(n, m)}, 5)
        for m in (7, 8)
    )
    found = compare(a, b).rows
    assert {row.metric for row in found if row.real} == {"more"}
    assert {(row.difference, row.ci_low, row.ci_high) for row in found} == {(0, 0, 0), (1, 1, 1)}


KERNEL = {"kernel": {"carrier": "uml", "release": "6.1"}}


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"environment": KERNEL}, "kernel: host 6.1 and uml 6.1"),
        ({"profile": "smoke"}, "profile: default and smoke"),
        ({"timing": {"apiDelay": "5ms"}}, "timing: defaults and apiDelay=5ms"),
        ({"experiment": "busy"}, "experiment: modes and busy"),
    ],
)
def test_runs_of_different_settings_are_refused_unless_across(
    meta: dict[str, Any], said: str
) -> None:
    a, b = run_of(noise(1), 5), run_of(noise(2), 5, **meta)
    with pytest.raises(UsageError, match=said):
        compare(a, b)
    assert compare(a, b, across=True).unlike == (said,)


def test_arms_of_one_run_alone_are_named_not_compared() -> None:
    found = compare(run_of(noise(1), 5), run_of(noise(2), 5, arms=("userspace", "nftables")))
    assert {row.factors["proxy"] for row in found.rows} == {"userspace"}
    assert [arm["proxy"] for arm in found.only_a] == ["iptables-nft", "ipvs/rr"]
    assert [arm["proxy"] for arm in found.only_b] == ["nftables"]


def test_runs_without_a_common_arm_say_where_they_differ() -> None:
    b = run_of(noise(2), 5)
    b.trials["rate_rps"] = 10.0
    b = Run(
        b.directory,
        {**b.meta, "factors": {"proxy": list(ARMS), "rate_rps": [10.0]}},
        b.trials,
        EMPTY,
        EMPTY,
        EMPTY,
    )
    with pytest.raises(UsageError, match="no arm in common") as caught:
        compare(run_of(noise(1), 5), b)
    assert "rate_rps=90.0 and 10.0" in str(caught.value.hint)
    assert len(compare(run_of(noise(1), 5), b, across=True).rows) == 18


def test_without_metrics_the_report_is_missing() -> None:
    with pytest.raises(UsageError, match="no metric in common"):
        compare(run_of({}, 5), run_of(noise(1), 5))
