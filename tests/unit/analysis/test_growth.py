"""Power laws on data whose exponent is known, and the metrics of a trial's events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed.analysis.growth import Measure, findings, laws, metrics, resources
from testbed.analysis.run import EVENT_COLUMNS, Run

TIME = Measure("took_ms", "time", "ms", margin=0.1)
EMPTY = pd.DataFrame()
SIZES = (10, 100, 1000)


def run_of(blocks: int = 5, modes: tuple[str, ...] = ("flat", "steep")) -> Run:
    rows = [
        {"trial": f"b{block}-{mode}-{size}", "block": block, "proxy": mode, "services": size}
        for block in range(blocks)
        for mode in modes
        for size in SIZES
    ]
    meta = {"experiment": "scale", "factors": {"proxy": list(modes), "services": list(SIZES)}}
    return Run(Path(), meta, pd.DataFrame(rows), EMPTY, EMPTY, EMPTY)


def table_of(run: Run, exponents: dict[str, float], noise: float = 0.02) -> pd.DataFrame:
    chance = np.random.default_rng(3)
    took = (
        2.0
        * run.trials["services"].astype(float) ** run.trials["proxy"].map(exponents)
        * np.exp(chance.normal(0, noise, len(run.trials)))
    )
    return pd.DataFrame({"trial": run.trials["trial"], "took_ms": took})


def test_the_exponent_and_the_scale_are_found() -> None:
    run = run_of()
    flat, steep = laws(run, table_of(run, {"flat": 0.0, "steep": 1.0}), [TIME])
    assert flat.exponent.estimate == pytest.approx(0.0, abs=0.02)
    assert steep.exponent.estimate == pytest.approx(1.0, abs=0.02)
    assert steep.scale == pytest.approx(2.0, rel=0.1)
    assert steep.exponent.n == 5


@pytest.mark.parametrize(
    ("exponent", "blocks", "verdict"),
    [(0.0, 5, "holds"), (0.5, 5, "does not hold"), (0.5, 4, "undecided")],
)
def test_flat_is_a_verdict_with_a_margin(exponent: float, blocks: int, verdict: str) -> None:
    run = run_of(blocks, ("one",))
    (finding,) = findings(run, table_of(run, {"one": exponent}), [TIME], "flat")
    assert finding.verdict == verdict


def test_nothing_is_fitted_to_a_single_size_or_to_what_was_not_measured() -> None:
    run = run_of()
    table = table_of(run, {"flat": 0.0, "steep": 1.0})
    assert laws(run, table, [Measure("other_ms", "other", "ms")]) == []
    one = run.only(run.trials.loc[run.trials["services"] == 10, "trial"])
    assert laws(one, table, [TIME]) == []


def test_metrics_of_a_trial() -> None:
    sync = {"start_ns": 0, "end_ns": 2_000_000, "full": True, "error": ""}
    partial = {"start_ns": 9_000_000, "end_ns": 12_000_000, "full": False, "error": ""}
    start = {"at": "start", "cpu_s": 1.0, "memory_mib": 30.0}
    change = {"at": "change", "before": {"cpu_s": 1.0}, "after": {"cpu_s": 1.2}}
    shakes = {"service": [20e3, 30e3, 40e3], "direct": [10e3, 15e3, 20e3], "resolution_ns": 1.0}
    rows = [
        (2_000_000, "proxy", "sync", 5, sync),
        (3_000_000, "trial", "resources", 0, start),
        (4_000_000, "trial", "handshakes", 0, shakes),
        (5_000_000, "fault", "crash", 0, {}),
        (7_000_000, "store", "endpoint-not-ready", 8, {}),
        (12_000_000, "proxy", "sync", 8, partial),
        (13_000_000, "trial", "resources", 0, change),
    ]
    events = pd.DataFrame(
        [
            dict(zip(EVENT_COLUMNS, ("t", t, source, "n1", kind, "", version, detail), strict=True))
            for t, source, kind, version, detail in rows
        ]
    )
    (row,) = metrics(Run(Path(), {}, EMPTY, EMPTY, EMPTY, events)).to_dict("records")
    assert row["full_sync_ms"] == 2.0
    assert (row["change_sync_ms"], row["change_ms"]) == (3.0, 5.0)
    assert (row["first_packet_us"], row["first_packet_over_direct"]) == (30.0, 2.0)
    assert (row["memory_mib"], row["cpu_start_s"]) == (30.0, 1.0)
    assert row["cpu_change_ms"] == pytest.approx(100.0)


def test_proc_is_read() -> None:
    stat = "2 (py thon) S 1 2 2 0 -1 4 9 9 0 0 150 50 30 20 20 0 9 1 1 1"
    assert resources(f"{stat}\nName:\tpython\nVmRSS:\t  2048 kB\n") == {
        "cpu_s": 2.5,
        "memory_mib": 2.0,
    }
