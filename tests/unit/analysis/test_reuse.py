"""Requests on kept connections, on data whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed.analysis import reuse
from testbed.analysis.run import Run
from testbed.report.reuse import figures
from testbed.traffic import evenness
from tests.unit.analysis.synthetic import Balancer, picks_of

MARGIN = 0.05
REQUESTS = 3000


def run_of(balancer: Balancer, *, blocks: int = 20) -> Run:
    """Trials of one client whose connections carry `balancer.reuse` requests each, in one mode."""
    chance = np.random.default_rng(5)
    rows = [
        {"trial": f"b{block}-{count}", "block": block, "proxy": "some", "reuse": count,
         "replicas": len(balancer.weights)}
        for block in range(blocks)
        for count in balancer.reuse
    ]  # fmt: skip
    parts = [_samples(str(row["trial"]), int(str(row["reuse"])), balancer, chance) for row in rows]
    meta = {"experiment": "reuse", "factors": {"proxy": ["some"], "reuse": list(balancer.reuse)}}
    nothing = pd.DataFrame()
    samples = pd.concat(parts, ignore_index=True)
    return Run(Path(), meta, pd.DataFrame(rows), samples, nothing, nothing)


def _samples(trial: str, count: int, balancer: Balancer, rng: np.random.Generator) -> pd.DataFrame:
    drawn = picks_of(rng, REQUESTS // count, balancer.weights, balancer.in_turn)
    connection = np.repeat(np.arange(drawn.size), count)
    start_ns = np.arange(connection.size) * 1e6
    return pd.DataFrame(
        {
            "trial": trial,
            "stream": "main",
            "client": "client-n1",
            "client_node": "n1",
            "connection": connection,
            "target": "10.96.0.1:80",
            "picked_backend": [f"web-{index}" for index in drawn[connection]],
            "start_ns": start_ns,
        }
    )


def verdicts(run: Run) -> dict[str, str]:
    return {one.question.split(":")[0]: one.verdict for one in reuse.findings(run, "", MARGIN)}


def test_random_connections_make_random_requests() -> None:
    run = run_of(Balancer(reuse=(1, 20)))
    assert verdicts(run) == {"reuse=1": "holds", "reuse=20": "holds"}


def test_taking_turns_is_better_and_shows_with_kept_connections_only() -> None:
    run = run_of(Balancer(reuse=(1, 60), in_turn=True))
    assert verdicts(run) == {"reuse=1": "holds", "reuse=60": "does not hold"}


def test_one_favourite_is_worse() -> None:
    assert verdicts(run_of(Balancer(weights=(4, 1, 1), reuse=(1,)))) == {"": "does not hold"}


@pytest.mark.parametrize("backends", [2, 3, 7])
def test_the_expected_unevenness_is_that_of_a_simulation(backends: int) -> None:
    chance = np.random.default_rng(2)
    sizes = np.array([100] * 60 + [30] * 40, dtype=np.int64)
    simulated = [
        evenness.coefficient_of_variation(
            np.bincount(
                chance.integers(backends, size=sizes.size), weights=sizes, minlength=backends
            ).astype(np.int64)
        )
        for _ in range(3000)
    ]
    assert reuse.expected_cv(sizes, backends) == pytest.approx(np.mean(simulated), rel=0.03)


def test_connections_and_requests_are_counted_apart() -> None:
    (row,) = reuse.metrics(run_of(Balancer(reuse=(60,)), blocks=1)).to_dict("records")
    assert (row["connections"], row["requests"]) == (50, 3000)
    assert row["request_cv"] == pytest.approx(row["connection_cv"])


def test_the_plot_is_drawn() -> None:
    assert set(figures(run_of(Balancer(reuse=(1, 20)), blocks=5))) == {"unevenness"}
