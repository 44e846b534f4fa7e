"""Requests through a balancer of connections and one of requests, on data whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed.analysis import ingress
from testbed.analysis.run import Run
from testbed.report.ingress import figures

MARGIN = 0.05
REQUESTS, REUSE, BACKENDS = 2400, 20, 3


def run_of(service: str = "random", controller: str = "in turn", blocks: int = 20) -> Run:
    """Each way as it says: `random` or `one` backend for each connection, or `in turn` for each request."""
    chance = np.random.default_rng(11)
    rows = [
        {
            "trial": f"b{block}-{via}",
            "block": block,
            "via": via,
            "reuse": REUSE,
            "replicas": BACKENDS,
        }
        for block in range(blocks)
        for via in (ingress.SERVICE, ingress.INGRESS)
    ]
    ways = {ingress.SERVICE: service, ingress.INGRESS: controller}
    parts = [_samples(str(row["trial"]), ways[str(row["via"])], chance) for row in rows]
    meta = {
        "experiment": "ingress",
        "factors": {"via": [ingress.SERVICE, ingress.INGRESS], "reuse": [REUSE]},
    }
    nothing = pd.DataFrame()
    samples = pd.concat(parts, ignore_index=True)
    return Run(Path(), meta, pd.DataFrame(rows), samples, nothing, nothing)


def _samples(trial: str, way: str, chance: np.random.Generator) -> pd.DataFrame:
    connection = np.repeat(np.arange(REQUESTS // REUSE), REUSE)
    picked = {
        "random": chance.integers(BACKENDS, size=REQUESTS // REUSE)[connection],
        "one": np.zeros(REQUESTS, dtype=np.int64),
        "in turn": np.arange(REQUESTS) % BACKENDS,
    }[way]
    return pd.DataFrame(
        {
            "trial": trial,
            "stream": "main",
            "client": "client-n1",
            "connection": connection,
            "outcome": np.where(np.arange(REQUESTS) < REQUESTS - 3, "ok", "timeout"),
            "backend": [f"web-{index}" for index in picked],
        }
    )


def verdicts(run: Run) -> dict[str, str]:
    return {one.arm: one.verdict for one in ingress.findings(run, "", MARGIN)}


@pytest.mark.parametrize(
    ("service", "controller", "expected"),
    [
        ("random", "in turn", ("holds", "holds")),
        ("one", "in turn", ("does not hold", "holds")),
        ("random", "random", ("holds", "does not hold")),
        ("random", "one", ("holds", "does not hold")),
    ],
)
def test_verdicts(service: str, controller: str, expected: tuple[str, str]) -> None:
    found = verdicts(run_of(service, controller))
    assert (found["via=service"], found["via=ingress"]) == expected


def test_a_backend_that_gets_nothing_counts() -> None:
    row = ingress.metrics(run_of(controller="one", blocks=1)).set_index("trial").loc["b0-ingress"]
    assert row["request_cv"] == pytest.approx(np.sqrt(2))
    assert (row["requests"], row["failed"], row["promised_cv"]) == (REQUESTS - 3, 3, 0)


def test_its_figure_is_drawn() -> None:
    assert set(figures(run_of(blocks=5))) == {"unevenness"}
