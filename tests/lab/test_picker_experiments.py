"""What a picker knows of the past, of load, of kept connections: these experiments over real labs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis import propagation
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab


def test_late_nodes_go_on_until_they_have_heard(tmp_path: Path) -> None:
    run = conducted("propagation", tmp_path, "delay_s=2", "rate_rps=100")
    table = propagation.staleness(run).set_index("node")
    assert list(table["delay_s"]) == [0.0, 1.0, 2.0]
    assert not table["censored"].any()
    assert (table["program_s"] >= table["delay_s"]).all()
    assert table.loc["n3", "stale_picks"] > 0
    ((written_ns, victim),) = withdrawals(run.events)
    main = run.samples[run.samples["stream"] == "main"]
    for node, program_s in table["program_s"].items():
        since_ns = written_ns + program_s * 1e9
        begun = main[(main["client_node"] == node) & (main["start_ns"] > since_ns)]
        assert len(begun) > 0, "the load outlives the news"
        assert victim not in set(begun["picked_backend"]), "begun with the rules that lack it"


def withdrawals(events: pd.DataFrame) -> list[tuple[int, str]]:
    """When the store said that a backend that hangs takes no traffic any more, and which one."""
    hangs = events[(events["source"] == "fault") & (events["kind"] == "hang")]
    written = events[events["kind"] == "endpoint-not-ready"]
    return [
        (int(row["t_ns"]), str(row["detail"]["pod"]).rpartition("/")[2])
        for _, hang in hangs.iterrows()
        for _, row in written.iterrows()
        if row["t_ns"] >= hang["t_ns"] and row["detail"]["uid"] == hang["detail"]["uid"]
    ]


def test_a_slow_backend_answers_late(tmp_path: Path) -> None:
    run = conducted("busy", tmp_path, "proxy=iptables-legacy", "duration_s=2")
    trial = run.trials.iloc[0]
    assert 0 < trial["slow_share"] < 1
    assert trial["slow_p50_ms"] >= 25.0
    assert trial["quick_p50_ms"] >= 5.0


def test_few_connections_carry_many_requests(tmp_path: Path) -> None:
    run = conducted("reuse", tmp_path, "proxy=iptables-legacy", "reuse=1,20", "duration_s=4")
    table: pd.DataFrame = run.trials.set_index("reuse")
    assert table.loc[1, "connections"] == table.loc[1, "requests"]
    # A generator that is kept from the CPU opens one for each request that it is late with.
    assert table.loc[20, "connections"] < table.loc[20, "requests"]
    assert (table["random_cv"] > 0).all()


def test_an_ingress_controller_balances_requests(tmp_path: Path) -> None:
    run = conducted("ingress", tmp_path, "reuse=20", "duration_s=3")
    table: pd.DataFrame = run.trials.set_index("via")
    assert table.loc["ingress", "connections"] < table.loc["ingress", "requests"]
    assert table.loc["ingress", "request_cv"] < 0.01 < table.loc["service", "promised_cv"]
    assert (table["failed"] == 0).all()
