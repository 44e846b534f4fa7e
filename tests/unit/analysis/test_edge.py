"""A node lost behind a load balancer, made up: whose requests are lost in which phase is read back exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis import edge
from testbed.analysis.run import Run, load_run
from testbed.experiment.module import load
from testbed.report.edge import figures
from tests.unit.analysis.synthetic import SECOND_NS, meta_of, write_run

LOST_S, NOTICED_S, OVER_S, END_S = 5.0, 8.0, 12.0, 20.0
STEP_S = 0.05
ADDRESS = "172.18.255.200"
BACKENDS = ("n1", "n2", "n3")
EXPERIMENT = load("edge")

Fails = Callable[[float, int], bool]
"""Whether the request due then, the so manyth, fails."""


def event(at_s: float, source: str, kind: str, node: str = "", **more: Any) -> dict[str, Any]:
    return {"t_ns": int(at_s * SECOND_NS), "source": source, "node": node, "kind": kind,
            "object": more.pop("about", ""), "resource_version": more.pop("version", 0),
            "detail": more}  # fmt: skip


NOTICES = {
    "haproxy": event(NOTICED_S, "edge", "node-unhealthy", "n1"),
    "l2": event(NOTICED_S, "edge", "announcing", "n2", about=ADDRESS),
    "bgp": event(NOTICED_S, "bgp", "route-changed", "r1", about=f"{ADDRESS}/32"),
}
NO_NOTICES = [
    event(LOST_S + 0.1, "edge", "node-unhealthy", "n2"),
    event(LOST_S + 0.1, "edge", "announcing", "n1", about=ADDRESS),
    event(LOST_S + 0.1, "edge", "announcing", "n2", about="172.18.255.201"),
    event(LOST_S - 1, "bgp", "route-changed", "r1", about=f"{ADDRESS}/32"),
]


def happened(provider: str, policy: str) -> list[dict[str, Any]]:
    note = {"victim": "n1", "address": ADDRESS, "provider": provider, "policy": policy}
    ways = [[home, "n1", "client", 1 + (home != "n1")] for home in BACKENDS]
    return [
        event(1, "trial", edge.WAYS, ways=ways),
        event(LOST_S - 1, "trial", edge.LOST, backends=list(BACKENDS), **note),
        event(LOST_S, "fault", "stop-node", "n1"),
        event(OVER_S - 1, "store", "endpoint-not-ready", "n1", version=7),
        event(OVER_S - 0.5, "proxy", "sync", "n2", version=7),
        event(OVER_S - 0.8, "proxy", "sync", "n3", version=6),
        event(OVER_S, "proxy", "sync", "n3", version=8),
        event(LOST_S - 2, "proxy", "sync", "n1", version=5),
    ]


def cluster(at_s: float, number: int) -> bool:
    """A third is lost until the rules know."""
    return LOST_S <= at_s < OVER_S and number % 3 == 0


def local(at_s: float, number: int) -> bool:
    """A third is lost until the way in avoids the node."""
    return LOST_S <= at_s < NOTICED_S and number % 3 == 0


def run_of(
    tmp_path: Path, policy: str, fails: Fails, provider: str = "haproxy", *, noticed: bool = True
) -> Run:
    names = [f"t{number}" for number in range(5)]
    trials = pd.DataFrame(
        [
            {"trial": n, "block": n, "provider": provider, "policy": policy, "valid": True}
            for n in names
        ]
    )
    rows = [
        {"trial": name, "stream": stream, "outcome": "timeout" if fails(at_s, number) else "ok",
         "scheduled_ns": at_s * SECOND_NS, "end_ns": at_s * SECOND_NS,
         "backend": None if fails(at_s, number) else f"web-{BACKENDS[number % 2]}-0"}
        for name in names
        for stream in ("outage", "kept")
        for number, at_s in enumerate(STEP_S * n for n in range(int(END_S / STEP_S)))
    ]  # fmt: skip
    seen = [*happened(provider, policy), *NO_NOTICES, *([NOTICES[provider]] if noticed else [])]
    return load_run(
        write_run(
            tmp_path / "run",
            meta_of("edge", {"provider": [provider], "policy": [policy]}),
            trials,
            pd.DataFrame(rows),
            events=[{**one, "trial": name} for name in names for one in seen],
        )
    )


def verdicts(run: Run) -> dict[str, str]:
    return {one.name: one.verdict for one in EXPERIMENT.analyse(run) if one.confirmatory}


@pytest.mark.parametrize("provider", sorted(NOTICES))
def test_each_phase_begins_when_who_it_is_about_knows(tmp_path: Path, provider: str) -> None:
    row = edge.metrics(run_of(tmp_path, "Cluster", cluster, provider)).iloc[0]
    assert (row["noticed_ms"], row["over_ms"]) == (3000, 7000)
    assert not row["noticed_ms_censored"]
    assert not row["over_ms_censored"]


def test_what_is_lost_is_counted_by_phase(tmp_path: Path) -> None:
    row = edge.metrics(run_of(tmp_path, "Cluster", cluster)).iloc[0]
    assert [row[f"lost_{phase}"] for phase in edge.PHASES] == [0, 20, 26, 0]
    assert row["lost_kept"] == 46
    assert row["outage_ms"] == pytest.approx(6850)


def test_how_connections_came_in(tmp_path: Path) -> None:
    row = edge.metrics(run_of(tmp_path, "Cluster", cluster)).iloc[0]
    assert row["source_kept_share"] == 1
    assert row["two_hops_share"] == pytest.approx(2 / 3)
    assert row["jain_backends"] == pytest.approx(2 / 3)
    assert row["jain_entries"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("policy", "fails", "refuted"),
    [
        pytest.param("Cluster", cluster, set(), id="as said of Cluster"),
        pytest.param("Local", local, set(), id="as said of Local"),
        pytest.param("Local", cluster, {"local-whole-once-noticed"}, id="Local goes on losing"),
        pytest.param("Cluster", local, {"cluster-loses-its-share"}, id="Cluster loses nothing"),
        pytest.param(
            "Local",
            lambda at_s, number: at_s >= LOST_S and number % 3 == 0,
            {"local-whole-once-noticed", "whole-once-over"},
            id="it is never over",
        ),
    ],
)
def test_what_is_otherwise_refutes(
    tmp_path: Path, policy: str, fails: Fails, refuted: set[str]
) -> None:
    found = verdicts(run_of(tmp_path, policy, fails))
    assert {name for name, verdict in found.items() if verdict == "does not hold"} == refuted
    assert {verdict for name, verdict in found.items() if name not in refuted} <= {"holds"}


def test_what_nobody_notices_is_censored(tmp_path: Path) -> None:
    run = run_of(tmp_path, "Local", local, noticed=False)
    row = edge.metrics(run).iloc[0]
    assert (row["noticed_ms_censored"], row["over_ms_censored"]) == (True, True)
    assert set(verdicts(run).values()) == {"undecided"}


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    run = run_of(tmp_path, "Cluster", cluster)
    assert set(figures(run)) == {"by-phase", "over-time", "by-cause", "ways-in"}
