"""Two runs compared, as a page, as JUnit XML and as a command with an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from testbed.analysis.run import load_run
from testbed.cli.main import main
from testbed.report.build import build
from testbed.report.junit import of_runs, xml
from tests.unit.analysis.synthetic import Balancer, balance_run
from tests.unit.report.conftest import QUICK
from tests.unit.report.test_page import Reader


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A and B of one balancer, C of one that prefers a backend, D of another kernel."""
    root = tmp_path_factory.mktemp("compared")
    even, uneven = Balancer(reuse=(1, 20)), Balancer(reuse=(1, 20), weights=(1.5, 1, 1))
    other = {"environment": {"kernel": {"release": "6.1.0"}}}
    for name, balancer, more in (
        ("a", even, {}), ("b", even, {}), ("c", uneven, {}), ("d", even, other),
    ):  # fmt: skip
        build(load_run(balance_run(root / name, balancer, seed=ord(name), **more)), QUICK)
    return root


def compared(runs: Path, *words: str) -> int:
    return main(["compare", str(runs / "a"), *words])


def test_equal_runs_pass_the_gate(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(runs, str(runs / "b"), "--fail-worse", "500%") == 0
    assert "No difference between the runs is real, of 14 metrics" in capsys.readouterr().err


def test_a_worse_run_fails_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(runs, str(runs / "c"), "--fail-worse", "cv=5%") == 1
    said = capsys.readouterr()
    assert "worse (margin 5 %)" in said.out
    assert "2 of 2 are worse than was accepted" in said.err
    assert compared(runs, str(runs / "c")) == 0


def test_other_kernels_are_not_compared_unless_one_asks(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(runs, str(runs / "d")) == 2
    assert "kernel: 6.18.0 and 6.1.0" in capsys.readouterr().err
    assert compared(runs, str(runs / "d"), "--across") == 0


def test_json_has_every_row_and_its_verdict(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared(runs, str(runs / "c"), "-o", "json", "--fail-worse", "5%")
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"metric", "factors", "difference", "ci_low", "q", "real", "verdict"} <= set(
        answer["rows"][0]
    )
    verdicts = {row["metric"]: row["verdict"] for row in answer["rows"]}
    assert (verdicts["cv"], verdicts["connections"]) == ("worse", "not judged")


def test_the_page_is_whole_and_says_what_differs(runs: Path, tmp_path: Path) -> None:
    words = (str(runs / "c"), "--fail-worse", "5%", "-w", str(tmp_path / "page.html"))
    assert compared(runs, *words) == 1
    page = Reader(text := (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(where.startswith("#") for where in page.references)
    assert "worse than accepted" in page.text
    assert "Differences that are real" in text
    assert "testbed compare" in page.text


def test_junit_has_a_case_per_metric_and_arm(runs: Path, tmp_path: Path) -> None:
    compared(runs, str(runs / "c"), "--fail-worse", "5%", "--junit", str(tmp_path / "junit.xml"))
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    cases = {case.get("name"): case for case in suite}
    assert len(cases) == int(suite.get("tests", "0")) == 14
    failure = cases["cv, replicas=3, reuse=1"].find("failure")
    assert failure is not None
    assert "margin 5 %" in failure.get("message", "")
    assert int(suite.get("failures", "0")) == len(suite.findall("*/failure"))


def test_a_file_that_cannot_be_written_is_told_so(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(runs, str(runs / "b"), "--junit", str(tmp_path)) == 5
    assert "cannot be written" in capsys.readouterr().err


def finding(name: str, verdict: str, answer: str = "As said.") -> dict[str, str]:
    return {"name": name, "arm": "ipvs/rr", "question": "Is it so?", "hypothesis": "It is.",
            "verdict": verdict, "answer": answer}  # fmt: skip


def test_a_run_in_junit() -> None:
    row = {"experiment": "claims", "directory": "results/claims/1", "planned": 4, "trials": 3,
           "status": "incomplete",
           "findings": [finding("flat", "holds"), finding("even", "does not hold", "a\x00b <&>"),
                        finding("late", "undecided")]}  # fmt: skip
    root = ElementTree.fromstring(xml(of_runs([row])).encode())
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    results = [(case.get("name"), case[0].tag) for case in root[0]]
    assert results == [
        ("every planned trial counts", "error"),
        ("flat, ipvs/rr", "system-out"),
        ("even, ipvs/rr", "failure"),
        ("late, ipvs/rr", "skipped"),
    ]
    assert root[0][2][0].get("message") == "does not hold: a\ufffdb <&>"
