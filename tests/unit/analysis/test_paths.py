"""Ways between pods, made up: what is put in as a ratio is found again, and decided rightly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed.analysis import paths
from testbed.analysis.paths import LATER, THROUGHPUT, WAYS
from testbed.analysis.run import Run, load_run
from testbed.experiment.module import load
from testbed.report.paths import figures
from tests.unit.analysis.synthetic import meta_of, write_run

PLAIN_US, PLAIN_BPS = 5.0, 20e9
EXPERIMENT = load("paths")


def note(trial: str, slower: Mapping[str, float], rng: np.random.Generator) -> dict[str, Any]:
    """Three rounds, in each of which the machine is as fast as it likes, for all ways alike."""
    rows = []
    for number in range(3):
        speed = rng.lognormal(0, 0.5)
        for path in ("plain", *WAYS):
            times = slower.get(path, 1.0) * rng.lognormal(0, 0.01) / speed
            rows.append(
                {"path": path, "round": number, "first_us": 2 * PLAIN_US * times,
                 "packet_us": PLAIN_US * times, "bytes": PLAIN_BPS / 8 / times,
                 "elapsed_ns": 1e9, "retransmits": 0}
            )  # fmt: skip
    return {"t_ns": 1, "source": "trial", "node": "", "kind": paths.NOTE, "object": "",
            "resource_version": 0, "trial": trial, "detail": {"rows": rows}}  # fmt: skip


def run_of(
    tmp_path: Path, slower: Mapping[str, float], trials: int = 10, *, noted: bool = True
) -> Run:
    rng = np.random.default_rng(1)
    names = [f"t{number}" for number in range(trials)]
    table = pd.DataFrame(
        [{"trial": name, "block": name, "network": "host-gw", "valid": True} for name in names]
    )
    return load_run(
        write_run(
            tmp_path / "run",
            meta_of("paths", {"network": ["host-gw"]}),
            table,
            pd.DataFrame({"trial": []}),
            events=[note(name, slower, rng) for name in names if noted],
        )
    )


FOUR_TIMES = {way: 4.0 if way.startswith("far") else 2.0 for way in WAYS}


def test_a_ratio_is_found_however_fast_the_machine_was_in_each_round(tmp_path: Path) -> None:
    table = paths.metrics(run_of(tmp_path, FOUR_TIMES))
    assert len(table) == 10
    assert table["far_pod_later_packet_over_plain"].to_numpy() == pytest.approx(4.0, rel=0.05)
    assert table["near_node_port_first_packet_over_plain"].to_numpy() == pytest.approx(2, rel=0.05)
    assert table["far_cluster_throughput_over_plain"].to_numpy() == pytest.approx(0.25, rel=0.05)
    assert (table["plain_throughput_bps"] > 1e9).all()


@pytest.mark.parametrize(
    ("slower", "trials", "verdict"),
    [
        ({}, 10, "holds"),
        ({"far/node-port": 5.2}, 10, "does not hold"),
        ({"near/cluster": 2.02}, 10, "holds"),
        ({"near/cluster": 2.2}, 5, "undecided"),
        ({}, 4, "undecided"),
    ],
)
def test_a_service_that_costs_more_than_its_first_packet_refutes(
    tmp_path: Path, slower: Mapping[str, float], trials: int, verdict: str
) -> None:
    run = run_of(tmp_path, {**FOUR_TIMES, **slower}, trials)
    found = {one.name: one for one in EXPERIMENT.analyse(run)}
    assert set(found) == {"same-later-packets", "same-throughput"}
    assert {one.verdict for one in found.values()} == {verdict}
    assert "0.25 times that of two plain namespaces" in found["same-throughput"].answer
    values = {
        one.detail: one.values for one in paths.primaries(run) if one.name == "same-later-packets"
    }
    assert {way: len(several) for way, several in values.items()} == {
        way: trials for way, _ in paths.COMPARED
    }


def test_a_run_that_noted_nothing_is_undecided_and_drawn_all_the_same(tmp_path: Path) -> None:
    run = run_of(tmp_path, {}, 1, noted=False)
    assert {one.verdict for one in EXPERIMENT.analyse(run)} == {"undecided"}
    assert paths.ratios(run, LATER).empty
    assert list(figures(run, 0.1)) == ["matrix", "services"]


def test_the_matrix_says_what_was_measured(tmp_path: Path) -> None:
    run = run_of(tmp_path, FOUR_TIMES)
    panels = figures(run, 0.1)["matrix"].axes
    assert len(panels) == len(paths.MEASURES)
    (last,) = (axes for axes in panels if THROUGHPUT.title in axes.get_title("left"))
    said = [float(text.get_text()) for text in last.texts]
    assert said == pytest.approx([0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5], abs=0.02)
