"""The report is where a run's answers are corrected for their number, and where plans get their spread."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.run import Finding, Run, load_run
from testbed.report.build import build
from tests.unit.report.conftest import QUICK


def weak(run: Run) -> list[Finding]:
    return [Finding(f"{name}?", "h", "holds", p_value=0.04) for name in "ab"]


def test_findings_are_corrected_and_primary_metrics_kept(balance_of: Run, tmp_path: Path) -> None:
    shutil.copytree(balance_of.directory, tmp_path / "run")
    run = load_run(tmp_path / "run")
    _, findings = build(run, replace(QUICK, analyse=weak))
    assert [finding.verdict for finding in findings] == ["undecided"] * 2
    assert [finding.adjusted_p for finding in findings] == [pytest.approx(0.08)] * 2
    meta = json.loads((run.directory / "run.json").read_text())
    assert [finding["verdict"] for finding in meta["findings"]] == ["undecided"] * 2
    assert {row["name"] for row in meta["primary"]} >= {"share-overall", "share-per-node"}
