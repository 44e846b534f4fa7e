"""The slow backend's share, on data whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import busy as experiment
from testbed.analysis import busy
from testbed.analysis.run import Run
from testbed.errors import UsageError
from testbed.report.busy import figures
from tests.unit.analysis.synthetic import SECOND_NS

MARGIN = 0.05
ARMS = ("blind", "sparing")
QUICK_MS, SLOW_MS = 5.0, 25.0


def run_of(slow_share: dict[str, float], *, blocks: int = 6, picks: int = 900) -> Run:
    """Trials of each arm; its balancer gives the slow one of three backends that share."""
    chance = np.random.default_rng(1)
    rows = [
        {"trial": f"b{block}-{arm}", "block": block, "proxy": arm, "quick": 2}
        for block in range(blocks)
        for arm in slow_share
    ]
    trials = pd.DataFrame(rows)
    samples = [_samples(row["trial"], slow_share[row["proxy"]], picks, chance) for row in rows]
    meta = {"experiment": "busy", "factors": {"proxy": list(slow_share), "quick": [2]}}
    nothing = pd.DataFrame()
    return Run(Path(), meta, trials, pd.concat(samples, ignore_index=True), nothing, nothing)


def _samples(trial: str, share: float, picks: int, chance: np.random.Generator) -> pd.DataFrame:
    weights = [(1 - share) / 2, (1 - share) / 2, share]
    names = np.asarray(["quick-0", "quick-1", "slow-0"])[chance.choice(3, size=picks, p=weights)]
    start_ns = np.arange(picks) * 1e6 + SECOND_NS
    took_ms = np.where(names == "slow-0", SLOW_MS, QUICK_MS)
    return pd.DataFrame(
        {
            "trial": trial,
            "stream": "main",
            "client": "client-n1",
            "client_node": "n1",
            "connection": np.arange(picks),
            "target": "10.96.0.1:80",
            "picked_backend": names,
            "backend": names,
            "scheduled_ns": start_ns,
            "start_ns": start_ns,
            "end_ns": start_ns + took_ms * 1e6,
            "outcome": "ok",
        }
    )


def test_the_verdict_is_the_truth() -> None:
    run = run_of({"blind": 1 / 3, "sparing": 0.15})
    verdicts = {one.question.split(":")[0]: one for one in busy.findings(run, "none", MARGIN)}
    assert verdicts["proxy=blind"].verdict == "holds"
    assert verdicts["proxy=sparing"].verdict == "does not hold"
    assert verdicts["proxy=sparing"].figures["slow_share"] == pytest.approx(0.15, abs=0.02)
    assert verdicts["proxy=blind"].figures["equal_share"] == pytest.approx(1 / 3)


def test_too_few_connections_leave_it_open() -> None:
    run = run_of({"blind": 1 / 3}, blocks=5, picks=12)
    (finding,) = busy.findings(run, "none", MARGIN)
    assert finding.verdict == "undecided"


def test_latency_is_told_apart_by_who_answered() -> None:
    table = busy.metrics(run_of({"blind": 1 / 3}, blocks=1))
    (row,) = table.to_dict("records")
    assert (row["slow_p50_ms"], row["quick_p50_ms"]) == pytest.approx((SLOW_MS, QUICK_MS))
    assert (row["latency_p50_ms"], row["latency_p99_ms"]) == pytest.approx((QUICK_MS, SLOW_MS))


def test_a_backend_that_nobody_picked_has_a_share_of_nothing() -> None:
    table = busy.metrics(run_of({"sparing": 0.0}, blocks=1))
    assert list(table["slow_share"]) == [0.0]
    assert table["slow_p50_ms"].isna().all()


def test_every_plot_is_drawn() -> None:
    assert set(figures(run_of({"blind": 1 / 3, "sparing": 0.15}), MARGIN)) == {
        "slow-share",
        "latency",
    }


def test_a_load_that_the_slow_backend_cannot_bear_is_refused() -> None:
    factors = {name: values[0] for name, values in experiment.FACTORS.items()}
    with pytest.raises(UsageError, match="busy for 125%"):
        experiment.arrange(None, factors | {"rate_rps": 150.0})  # type: ignore[arg-type]
