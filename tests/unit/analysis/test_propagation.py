"""How long each node goes on to a withdrawn backend, on data whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed.analysis import propagation
from testbed.analysis.run import Run
from testbed.report.propagation import figures

DELAYS_S = {"n1": 0.0, "n2": 0.5, "n3": 1.0}
MARGIN_S = 0.25
FAULT_S, WITHDRAWN_S, END_S = 1.0, 2.0, 5.0
GAP_S = 0.004
SECOND_NS = 1e9


def run_of(*, excess_s: float = 0.0, blocks: int = 5, programmed: bool = True) -> Run:
    """Trials in which every node picks web-0, web-1, web-2 in turn, and leaves web-0 out from its
    delay (n3: and the excess) after the withdrawal on.
    """
    trials = pd.DataFrame({"trial": [f"b{at}" for at in range(blocks)], "block": range(blocks)})
    trials["delay_s"] = max(DELAYS_S.values())
    meta = {"experiment": "propagation", "factors": {"delay_s": [1.0]}}
    samples = [_samples(trial, excess_s) for trial in trials["trial"]]
    events = [row for trial in trials["trial"] for row in _events(trial, programmed)]
    return Run(
        Path(), meta, trials, pd.concat(samples, ignore_index=True), pd.DataFrame(),
        pd.DataFrame(events),
    )  # fmt: skip


def _samples(trial: str, excess_s: float) -> pd.DataFrame:
    parts = []
    for node, delay_s in DELAYS_S.items():
        at_s = np.arange(0, END_S, GAP_S)
        picked = np.arange(at_s.size) % 3
        stops_s = WITHDRAWN_S + delay_s + (excess_s if node == "n3" else 0.0)
        picked = np.where((picked == 0) & (at_s > stops_s), 1, picked)
        hung = (picked == 0) & (at_s >= FAULT_S)
        parts.append(
            pd.DataFrame(
                {
                    "trial": trial,
                    "stream": "main",
                    "client": f"client-{node}",
                    "client_node": node,
                    "connection": np.arange(at_s.size),
                    "picked_backend": [f"web-{index}" for index in picked],
                    "scheduled_ns": at_s * SECOND_NS,
                    "start_ns": at_s * SECOND_NS,
                    "end_ns": (at_s + 0.001) * SECOND_NS,
                    "outcome": np.where(hung, "timeout", "ok"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _events(trial: str, programmed: bool) -> list[dict[str, object]]:
    def event(
        t_s: float, source: str, kind: str, node: str, version: int, **detail: object
    ) -> dict[str, object]:
        return {
            "trial": trial, "t_ns": t_s * SECOND_NS, "source": source, "node": node, "kind": kind,
            "object": "default/web-0", "resource_version": version, "detail": detail,
        }  # fmt: skip

    late = [
        event(0, "fault", "delay-watch", node, 5, delay_s=delay_s)
        for node, delay_s in DELAYS_S.items()
        if delay_s
    ]
    syncs = [
        event(
            WITHDRAWN_S + delay_s, "proxy", "sync", node, 7,
            end_ns=(WITHDRAWN_S + delay_s) * SECOND_NS, error="",
        )
        for node, delay_s in DELAYS_S.items()
        if programmed or node != "n3"
    ]  # fmt: skip
    return [
        *late,
        event(FAULT_S, "fault", "hang", "n1", 0, uid="u", level="hang"),
        event(WITHDRAWN_S, "store", "endpoint-not-ready", "n1", 7, uid="u"),
        *syncs,
    ]


@pytest.mark.parametrize(
    ("excess_s", "verdict"),
    [(0.0, "holds"), (0.1, "holds"), (0.6, "does not hold")],
    ids=["exactly its delay", "within the margin", "one node goes on for longer"],
)
def test_the_verdict_is_the_truth(excess_s: float, verdict: str) -> None:
    (finding,) = propagation.findings(run_of(excess_s=excess_s), "as late as told", MARGIN_S)
    assert finding.verdict == verdict
    assert finding.figures["n3_stale_s"] == pytest.approx(1.0 + excess_s, abs=3 * GAP_S)
    assert finding.figures["n2_delay_s"] == 0.5


def test_a_node_that_was_not_watched_to_the_end_leaves_it_open() -> None:
    (finding,) = propagation.findings(run_of(programmed=False), "as late as told", MARGIN_S)
    assert finding.verdict == "undecided"


def test_each_node_by_itself() -> None:
    table = propagation.staleness(run_of(blocks=1)).set_index("node")
    assert list(table["program_s"]) == pytest.approx([0.0, 0.5, 1.0])
    assert list(table["stale_s"]) == pytest.approx([0.0, 0.5, 1.0], abs=3 * GAP_S)
    picks = 1.0 / GAP_S
    assert table.loc["n3", "picks"] == pytest.approx(picks, abs=4)
    assert table.loc["n3", "stale_picks"] == pytest.approx(picks / 3, abs=2)
    assert table.loc["n3", "failed"] == table.loc["n3", "stale_picks"]


def test_a_row_of_metrics_per_trial() -> None:
    table = propagation.metrics(run_of(blocks=2))
    assert list(table["trial"]) == ["b0", "b1"]
    assert list(table["stale_ms_max"]) == pytest.approx([1000, 1000], abs=15)


def test_shares_over_time_fall_where_a_node_hears() -> None:
    table = propagation.shares_over_time(run_of(blocks=1))
    late = table[(table["node"] == "n3") & (table["at_s"] > 0.15) & (table["at_s"] < 0.85)]
    assert (late["to_victim"] / late["picks"]).mean() == pytest.approx(1 / 3, abs=0.02)
    assert table[(table["node"] == "n1") & (table["at_s"] > 0.05)]["to_victim"].sum() == 0


def test_every_plot_is_drawn() -> None:
    assert set(figures(run_of(), MARGIN_S)) == {"who-sends-where", "staleness"}
