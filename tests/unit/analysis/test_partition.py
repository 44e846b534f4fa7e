"""Partitions, made up: whose requests are lost in which phase is read back exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis import partition
from testbed.analysis.run import Run, load_run
from testbed.experiment.module import load
from testbed.report.partition import figures
from tests.unit.analysis.synthetic import SECOND_NS, meta_of, write_run

CUT_S, NOTICED_S, WITHDRAWN_S, HEALED_S, BACK_S, END_S = 10.0, 12.0, 12.5, 20.0, 21.0, 25.0
SIDES = {"near": ["n1", "n2"], "far": ["n3", "n4"]}
EXPERIMENT = load("partition")
STEP_S = 0.05

Lost = Callable[[str, float, int], bool]
"""Whether a side's request due then, the so manyth, is lost."""


def event(
    at_s: float, source: str, kind: str, node: str = "", version: int = 0, **detail: Any
) -> Any:
    return {"t_ns": int(at_s * SECOND_NS), "source": source, "node": node, "kind": kind, "object": "",
            "resource_version": version, "detail": detail}  # fmt: skip


def sync(at_s: float, node: str, version: int, error: str = "") -> Any:
    return event(at_s, "proxy", "sync", node, version, ip_family="IPv4", error=error)


def reach(apart: bool = True) -> Any:
    side_of = {node: side for side, nodes in SIDES.items() for node in nodes}
    rows = [
        [a, b, "reached" if side_of[a] == side_of[b] or not apart else "timeout"]
        for a in side_of
        for b in side_of
    ]
    return event(15, "trial", partition.REACH, rows=rows)


PARTED = [
    event(CUT_S - 1, "trial", partition.APART, **SIDES, beyond=True),
    event(CUT_S, "fault", "partition"),
    event(HEALED_S, "fault", "heal"),
    event(END_S, "lab", "trial-end"),
]
TOLD = [
    event(NOTICED_S, "store", "pod-not-ready", "n3", 7),
    event(NOTICED_S, "store", "endpoint-not-ready", "n3", 8),
    event(NOTICED_S + 0.1, "store", "endpoint-not-ready", "n4", 9),
    sync(NOTICED_S + 0.05, "n1", 8),  # before the last write: not yet all of it
    sync(NOTICED_S + 0.2, "n1", 9),
    sync(NOTICED_S + 0.3, "n2", 9, error="the tool was busy"),
    sync(WITHDRAWN_S, "n2", 9),
    event(HEALED_S + 0.1, "store", "endpoint-ready", "n3", 11),
    *(sync(HEALED_S + 0.3, node, 11) for node in ("n1", "n2", "n4")),
    sync(BACK_S, "n3", 12),
]


def requests(lost: Lost) -> list[dict[str, Any]]:
    rows = []
    for node, side in (("n1", "near"), ("n3", "far")):
        for number in range(int(END_S / STEP_S)):
            at_s = number * STEP_S
            t_ns = int(at_s * SECOND_NS)
            for stream in ("outage", "kept"):
                outcome = "timeout" if lost(side, at_s, number) else "ok"
                rows.append(
                    {"stream": stream, "client_node": node, "outcome": outcome,
                     "scheduled_ns": t_ns, "end_ns": t_ns}
                )  # fmt: skip
    return rows


def as_said(side: str, at_s: float, number: int) -> bool:
    """Half is lost while parted; by the near side until the others are withdrawn."""
    until_s = WITHDRAWN_S if side == "near" else HEALED_S
    return CUT_S <= at_s < until_s and number % 2 == 0


def run_of(
    tmp_path: Path, lost: Lost = as_said, events: list[Any] | None = None, reached: str = "beyond"
) -> Run:
    names = [f"t{number}" for number in range(5)]
    trials = pd.DataFrame(
        [{"trial": name, "block": name, "control_plane": reached, "valid": True} for name in names]
    )
    happened = [*PARTED, *TOLD, reach()] if events is None else events
    return load_run(
        write_run(
            tmp_path / "run",
            meta_of("partition", {"control_plane": [reached]}),
            trials,
            pd.DataFrame([{**row, "trial": name} for name in names for row in requests(lost)]),
            events=[{**one, "trial": name} for name in names for one in happened],
        )
    )


def verdicts(run: Run) -> dict[str, str]:
    return {one.name: one.verdict for one in EXPERIMENT.analyse(run)}


def test_each_phase_begins_when_the_last_node_knows(tmp_path: Path) -> None:
    (one, *_) = partition.parted(run_of(tmp_path))
    begins = {phase: t_ns / SECOND_NS for phase, t_ns in one.begins_ns.items()}
    assert begins == {"cut": CUT_S, "noticed": NOTICED_S, "withdrawn": WITHDRAWN_S,
                      "healed": HEALED_S, "back": BACK_S}  # fmt: skip
    row = partition.metrics(run_of(tmp_path)).iloc[0]
    assert (row["noticed_ms"], row["withdrawn_ms"], row["back_ms"]) == (2000, 2500, 1000)
    assert not row[["noticed_ms_censored", "withdrawn_ms_censored", "back_ms_censored"]].any()


def test_lost_requests_are_counted_by_side_and_phase(tmp_path: Path) -> None:
    row = partition.metrics(run_of(tmp_path)).iloc[0]
    near = [row[f"lost_near_{phase}"] for phase in partition.PHASES]
    far = [row[f"lost_far_{phase}"] for phase in partition.PHASES]
    assert near == [0, 20, 5, 0, 0, 0]
    assert far == [0, 20, 5, 75, 0, 0]
    assert row["lost_share_far_withdrawn"] == 0.5
    table = partition.losses(run_of(tmp_path))
    assert table["offered"].sum() == 5 * 4 * END_S / STEP_S


@pytest.mark.parametrize(
    ("lost", "refuted"),
    [
        pytest.param(as_said, set(), id="as said"),
        pytest.param(
            lambda side, at_s, number: CUT_S <= at_s < HEALED_S and number % 2 == 0,
            {"near-whole-once-withdrawn"},
            id="the near side goes on losing, too",
        ),
        pytest.param(
            lambda side, at_s, number: CUT_S <= at_s < WITHDRAWN_S and number % 2 == 0,
            {"far-goes-on-losing"},
            id="the far side knows by itself",
        ),
        pytest.param(
            lambda side, at_s, number: (
                as_said(side, at_s, number) or (side == "far" and at_s > BACK_S and number % 5 == 0)
            ),
            {"far-whole-once-back"},
            id="not all is well afterwards",
        ),
    ],
)
def test_what_is_otherwise_refutes(tmp_path: Path, lost: Lost, refuted: set[str]) -> None:
    found = verdicts(run_of(tmp_path, lost))
    assert {name for name, verdict in found.items() if verdict == "does not hold"} == refuted
    assert {verdict for name, verdict in found.items() if name not in refuted} == {"holds"}


def test_what_nobody_notices_is_lost_until_the_end(tmp_path: Path) -> None:
    def lost(side: str, at_s: float, number: int) -> bool:
        return CUT_S <= at_s < HEALED_S and number % 2 == 0

    run = run_of(tmp_path, lost, [*PARTED, reach()], "reached")
    assert set(verdicts(run).values()) == {"holds"}
    assert {"near-never-told", "far-never-told"} < set(verdicts(run))
    row = partition.metrics(run).iloc[0]
    assert (row["withdrawn_ms_censored"], row["withdrawn_ms"]) == (True, 10_000)
    assert row["back_ms"] == 0


def test_a_node_that_never_learns_leaves_the_phase_unreached(tmp_path: Path) -> None:
    events = [one for one in TOLD if one["node"] != "n2"]
    row = partition.metrics(run_of(tmp_path, as_said, [*PARTED, *events, reach()])).iloc[0]
    assert (row["withdrawn_ms_censored"], row["back_ms_censored"]) == (True, True)
    assert row["lost_far_withdrawn"] == 0


def test_a_pair_that_reaches_across_refutes_the_partition(tmp_path: Path) -> None:
    run = run_of(tmp_path, as_said, [*PARTED, *TOLD, reach(apart=False)])
    assert verdicts(run)["apart-while-parted"] == "does not hold"


def test_figures_name_losses_by_phase(tmp_path: Path) -> None:
    drawn = figures(run_of(tmp_path))
    assert list(drawn) == ["by-phase", "over-time", "who-reaches"]
    new = drawn["by-phase"].axes[0]
    assert [text.get_text() for text in new.texts if text.get_text() == "375"] == ["375"]
    assert [tick.get_text() for tick in new.get_xticklabels()] == list(partition.PHASES)
