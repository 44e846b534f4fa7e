"""Two made-up runs, built once: their figures take a second each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis import balance, failover
from testbed.analysis.run import Run, load_run
from testbed.report import balance as balance_plots
from testbed.report import failover as failover_plots
from tests.unit.analysis.synthetic import NODES, Balancer, Story, balance_run, failover_run


@dataclass(frozen=True)
class Analysis:
    """What an experiment brings to its report."""

    analyse: Any
    plot: Any
    measure: Any
    primary: Any = None


BALANCE = Analysis(
    lambda run: balance.findings(run, "Shares are even to within one point."),
    balance_plots.figures,
    balance.metrics,
    balance.primaries,
)
QUICK = Analysis(
    BALANCE.analyse,
    lambda run: {"transitions": balance_plots.transitions(run)},
    BALANCE.measure,
    BALANCE.primary,
)
"""With one figure, for tests that are not about figures."""
FAILOVER = Analysis(
    lambda run: failover.findings(run, "Clients recover soon.", {"crash": 2000, "hang": 6000}),
    failover_plots.figures,
    failover.metrics,
)

HANG = Story(
    fault="hang",
    outcome="timeout",
    detect_ms=3500.0,
    withdraw_ms=3503.0,
    program_ms=dict.fromkeys(NODES, (3505.0, 3520.0)),
    watched_ms=9500.0,
)
STUCK = Story(
    fault="hang",
    outcome="timeout",
    detect_ms=None,
    withdraw_ms=None,
    program_ms=dict.fromkeys(NODES),
    watched_ms=9500.0,
)


@pytest.fixture(scope="session")
def balance_of(tmp_path_factory: pytest.TempPathFactory) -> Run:
    where: Path = tmp_path_factory.mktemp("balance") / "run"
    return load_run(balance_run(where, Balancer(reuse=(1, 20), connections=400)))


@pytest.fixture(scope="session")
def failover_of(tmp_path_factory: pytest.TempPathFactory) -> Run:
    where: Path = tmp_path_factory.mktemp("failover") / "run"
    stories = {"crash": [Story()] * 5, "hang": [*[HANG] * 4, STUCK]}
    return load_run(
        failover_run(where, stories, profile="smoke", timing={"nodeMonitorPeriod": "1s"})
    )
