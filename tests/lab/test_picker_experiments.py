"""What a picker knows of the past, of load, of kept connections: these experiments over real labs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis import propagation
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab


def test_late_nodes_go_on_until_they_have_heard(tmp_path: Path) -> None:
    run = conducted("propagation", tmp_path, "delay_s=0.8", "rate_rps=100")
    table = propagation.staleness(run).set_index("node")
    assert list(table["delay_s"]) == [0.0, 0.4, 0.8]
    assert not table["censored"].any()
    assert (table["program_s"] >= table["delay_s"]).all()
    # The last connection to the backend came before the rules without it, or while they came.
    assert (table["stale_s"] <= table["program_s"] + 0.1).all()
    assert table.loc["n3", "stale_picks"] > 0


def test_a_slow_backend_answers_late(tmp_path: Path) -> None:
    run = conducted("busy", tmp_path, "proxy=iptables-legacy", "duration_s=2")
    trial = run.trials.iloc[0]
    assert 0 < trial["slow_share"] < 1
    assert trial["slow_p50_ms"] >= 25.0
    assert trial["quick_p50_ms"] >= 5.0


def test_few_connections_carry_many_requests(tmp_path: Path) -> None:
    run = conducted("reuse", tmp_path, "proxy=iptables-legacy", "reuse=1,20", "duration_s=2")
    table: pd.DataFrame = run.trials.set_index("reuse")
    assert table.loc[1, "connections"] == table.loc[1, "requests"]
    assert table.loc[20, "connections"] < table.loc[20, "requests"] / 2
    assert (table["random_cv"] > 0).all()


def test_an_ingress_controller_balances_requests(tmp_path: Path) -> None:
    run = conducted("ingress", tmp_path, "reuse=20", "duration_s=1.5")
    table: pd.DataFrame = run.trials.set_index("via")
    assert table.loc["ingress", "connections"] < table.loc["ingress", "requests"] / 2
    assert table.loc["ingress", "request_cv"] < 0.01 < table.loc["service", "promised_cv"]
    assert (table["failed"] == 0).all()
