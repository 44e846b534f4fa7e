"""Results as pandas frames, in two lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import results
from testbed.analysis.run import load_run
from testbed.errors import NotFound, UsageError
from testbed.report.build import build
from tests.unit.analysis.synthetic import Balancer, balance_run
from tests.unit.report.conftest import QUICK


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one experiment, a report of the newer, and something that is no run."""
    root = tmp_path_factory.mktemp("results")
    for name, reuse in (("20260101T000000Z-1", (1,)), ("20260202T000000Z-1", (1, 20))):
        run = balance_run(root / "balance" / name, Balancer(reuse=reuse, connections=100), blocks=2)
    build(load_run(run), QUICK)
    (root / "other" / "broken").mkdir(parents=True)
    (root / "other" / "broken" / "run.json").write_text("{}")
    return root


@pytest.mark.parametrize("name", ["balance/20260202T000000Z-1", "20260202T000000Z-1"])
def test_a_run_is_opened_by_its_directory_or_its_name(root: Path, name: str) -> None:
    where = root / name if "/" in name else name
    run = results.open(where, root)
    assert len(run.trials) == 4
    assert len(run.samples) == 2 * 2 * 100 * (1 + 20)


def test_an_experiments_name_opens_its_newest_run(root: Path) -> None:
    assert results.open("balance", root).directory.name == "20260202T000000Z-1"


def test_summary_and_findings_are_frames(root: Path) -> None:
    run = results.open("20260202T000000Z-1", root)
    jain = run.summary.query("metric == 'jain' and reuse == 20")
    assert jain["n"].tolist() == [2]
    assert set(run.findings["verdict"]) <= {"holds", "does not hold", "undecided"}
    with pytest.raises(UsageError, match="make it: testbed report"):
        _ = results.open("20260101T000000Z-1", root).summary


def test_what_is_not_there_is_said(root: Path) -> None:
    with pytest.raises(NotFound, match="no run nonsense"):
        results.open("nonsense", root)
    with pytest.raises(UsageError, match="is not a run"):
        results.open(root / "balance" / "20260202T000000Z-1" / "figures", root)


def test_runs_are_listed_the_newest_last(root: Path) -> None:
    listed = results.ls(root)
    assert listed["run"].tolist() == ["20260101T000000Z-1", "20260202T000000Z-1"]
    assert listed["findings"].tolist()[0] == 0 < listed["findings"].tolist()[1]
    assert results.ls(root / "nowhere").empty
