"""Search lists: what libraries are known to ask, and trials whose counts and times are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import ndots as experiment
from testbed.analysis import ndots
from testbed.analysis.ndots import AUTOPATH, FULL, NODE_LOCAL, OUTSIDE, PLAIN
from testbed.analysis.run import Run
from testbed.errors import UsageError
from testbed.report.ndots import figures

LOOKUPS = 4
ROUND_NS = 1_000_000


def run_of(*, lost: int = 0, blocks: int = 6, paths: tuple[str, ...] = (PLAIN, NODE_LOCAL)) -> Run:
    """Every round of queries takes a millisecond; `lost` queries of each combination were asked again."""
    rows = [
        {"trial": f"b{block}-{path}", "block": block, "path": path}
        for block in range(blocks)
        for path in paths
    ]
    events = pd.DataFrame(
        [
            {
                "trial": row["trial"],
                "source": "trial",
                "kind": ndots.NOTE,
                "t_ns": 0,
                "object": "",
                "detail": {"cells": cells(str(row["path"]), int(str(row["block"])), lost)},
            }
            for row in rows
        ]
    )
    meta = {"experiment": "ndots", "factors": {"path": list(paths)}}
    nothing = pd.DataFrame()
    return Run(Path(), meta, pd.DataFrame(rows), nothing, nothing, events)


def cells(path: str, block: int, lost: int) -> list[dict[str, Any]]:
    found = []
    for library in ndots.LIBRARIES:
        for each in ndots.NDOTS:
            for name in ndots.NAMES:
                asked = ndots.predicted(library, name, each, path)
                took_ns = asked // 2 * ROUND_NS + 1000 * block
                found.append(
                    {
                        "library": library,
                        "ndots": each,
                        "name": name,
                        "asked": asked * LOOKUPS + lost,
                        "at_cluster": 2 if path == NODE_LOCAL else asked * LOOKUPS + lost,
                        "took_ns": [took_ns] * LOOKUPS,
                        "failed": 0,
                    }
                )
    return found


@pytest.mark.parametrize(
    ("library", "name", "each", "path", "queries"),
    [
        ("glibc", "web", 5, PLAIN, 2),
        ("glibc", OUTSIDE, 5, PLAIN, 8),
        ("glibc", OUTSIDE, 2, PLAIN, 2),
        ("glibc", f"{OUTSIDE}.", 5, PLAIN, 2),
        ("glibc", FULL, 5, PLAIN, 8),
        ("glibc", OUTSIDE, 5, AUTOPATH, 2),
        ("glibc", "web.default", 1, PLAIN, 6),
        ("glibc", "web.default", 1, AUTOPATH, 4),
        ("glibc", "web.default.svc", 2, AUTOPATH, 4),
        ("musl", "web.default", 1, PLAIN, 2),
        ("musl", "web.default", 2, PLAIN, 4),
    ],
)
def test_libraries_are_known_to_ask(
    library: str, name: str, each: int, path: str, queries: int
) -> None:
    assert ndots.predicted(library, name, each, path) == queries


def test_four_rounds_instead_of_one_are_not_cheap() -> None:
    run = run_of()
    by_name = {(one.name, one.arm): one for one in experiment.analyse(run)}
    for arm in ("path=plain", "path=node-local"):
        assert by_name["search-is-cheap", arm].verdict == "does not hold"
        assert by_name["search-is-cheap", arm].figures["search_factor"] == pytest.approx(4, abs=0.1)
        assert by_name["queries-as-predicted", arm].verdict == "holds"
    shares = ndots.metrics(run).set_index("trial")["cluster_share"]
    assert shares["b0-plain"] == 1.0
    assert shares["b0-node-local"] < 0.2


def test_autopath_makes_the_search_list_cheap() -> None:
    found = experiment.analyse(run_of(paths=(AUTOPATH,)))
    assert {one.name: one.verdict for one in found} == {
        "search-is-cheap": "holds",
        "queries-as-predicted": "holds",
    }


def test_queries_that_nobody_knows_of_are_said() -> None:
    found = experiment.analyse(run_of(lost=LOOKUPS))
    assert {one.verdict for one in found if one.name == "queries-as-predicted"} == {"does not hold"}


def test_its_figures_are_drawn_from_one_trial_up() -> None:
    for run in (run_of(blocks=1), run_of()):
        assert set(figures(run, experiment.LIMIT)) == {"queries", "times", "factor"}


def test_paths_that_are_none_are_said() -> None:
    factors = {name: values[0] for name, values in experiment.FACTORS.items()}
    assert experiment.topology(factors).dns.node_local is None
    assert experiment.topology(factors | {"path": NODE_LOCAL}).dns.node_local is not None
    with pytest.raises(UsageError, match="no path 'by-foot'"):
        experiment.topology(factors | {"path": "by-foot"})
    with pytest.raises(UsageError, match="lookups above 0"):
        experiment.topology(factors | {"lookups": 0})
