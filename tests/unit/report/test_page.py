"""The page and the files beside it, built from stored runs."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis.run import Run, load_run
from testbed.cli.main import main
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.report.build import analysed, build, write
from tests.unit.analysis.synthetic import Balancer, balance_run
from tests.unit.report.conftest import BALANCE, FAILOVER, QUICK


class Reader(HTMLParser):
    """Collects ids, references, visible text, and checks that what opens is closed."""

    VOID = frozenset(("meta", "br", "link", "img", "hr", "path", "use", "rect", "image", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self._note(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def _note(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "xlink:href", "src"):
                self.references.append(value or "")


def copy_of(run: Run, where: Path) -> Run:
    shutil.copytree(run.directory, where, ignore=shutil.ignore_patterns("figures"))
    return load_run(where)


@pytest.fixture(scope="module")
def balance_page(balance_of: Run) -> str:
    return build(balance_of, BALANCE)[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def failover_page(failover_of: Run) -> str:
    return build(failover_of, FAILOVER)[0].read_text(encoding="utf-8")


def test_the_page_needs_no_network_and_no_other_file(failover_page: str) -> None:
    page = Reader(failover_page)
    outside = [
        where for where in page.references if not where.startswith(("#", "data:image/png;base64,"))
    ]
    assert outside == []
    assert "<script" not in failover_page
    assert "@import" not in failover_page
    assert not re.search(r"url\((?!#)", failover_page)


def test_the_page_is_well_formed_and_its_ids_are_unique(failover_page: str) -> None:
    page = Reader(failover_page)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_every_reference_leads_somewhere(balance_page: str) -> None:
    page = Reader(balance_page)
    targets = {where[1:] for where in page.references if where.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", balance_page))
    assert targets
    assert targets <= set(page.ids)


def test_the_answers_come_first(failover_page: str) -> None:
    parts = ("answers", "figures", "tables", "trust", "method", "repeat", "environment")
    order = [failover_page.index(f'id="{part}"') for part in parts]
    assert order == sorted(order)
    text = Reader(failover_page).text
    assert "How long until clients have recovered (fault=crash)?" in text
    assert "1 of 5 trials did not recover while watched" in text


def test_figures_follow_light_and_dark(balance_page: str) -> None:
    assert "light-dark(" in balance_page
    body = balance_page[balance_page.index("<body>") :]
    assert "#1b1b1f" not in body
    assert "#fefefe" not in body


def test_a_smoke_run_says_that_it_is_not_for_citation(
    failover_page: str, balance_page: str
) -> None:
    assert "Not for citation" in failover_page
    assert "Not for citation" not in balance_page


def test_the_command_that_repeats_the_run_is_there(balance_page: str) -> None:
    assert "testbed run balance --seed 7" in balance_page


def test_what_the_record_says_is_escaped(balance_of: Run, tmp_path: Path) -> None:
    run = copy_of(balance_of, tmp_path / "run")
    meta = {**run.meta, "question": "<script>alert(1)</script>"}
    (run.directory / "run.json").write_text(json.dumps(meta), encoding="utf-8")
    page = build(load_run(run.directory), QUICK)[0].read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_building_writes_figures_summary_metrics_and_findings(
    balance_of: Run, tmp_path: Path
) -> None:
    run = copy_of(balance_of, tmp_path / "run")
    _, findings = build(run, QUICK)
    names = {path.name for path in (run.directory / "figures").iterdir()}
    assert names == {"transitions.svg", "transitions.png"}
    summary = json.loads((run.directory / "summary.json").read_text(encoding="utf-8"))
    assert {"metric", "unit", "factors", "n", "mean", "ci_low", "ci_high", "p50", "p99"} <= set(
        summary[0]
    )
    meta = json.loads((run.directory / "run.json").read_text(encoding="utf-8"))
    assert [row["verdict"] for row in meta["findings"]] == [f.verdict for f in findings]
    assert "jain" in pd.read_csv(run.directory / "trials.csv").columns


def test_building_again_changes_nothing(balance_of: Run, tmp_path: Path) -> None:
    run = copy_of(balance_of, tmp_path / "run")
    written = []
    for _ in range(2):
        page, _ = build(load_run(run.directory), QUICK)
        written.append(
            [page.read_bytes()]
            + [(run.directory / name).read_bytes() for name in ("summary.json", "trials.csv")]
        )
    assert written[0] == written[1]


def invalidated(run: Run, where: Path, trials: Any) -> Run:
    copy = copy_of(run, where)
    table = copy.trials.assign(
        valid=~copy.trials["trial"].isin(trials), invalid_reason="conntrack drop rose by 1"
    )
    table.to_csv(where / "trials.csv", index=False)
    return load_run(where)


def test_excluded_trials_are_listed_with_the_reason(balance_of: Run, tmp_path: Path) -> None:
    run = invalidated(balance_of, tmp_path / "run", ["1-1"])
    text = Reader(build(run, QUICK)[0].read_text(encoding="utf-8")).text
    assert "8 of 10 trials count" in text
    assert "conntrack drop rose by 1" in text
    assert "Excluded per arm" in text
    assert "No verdict changes" in text


def test_a_run_without_a_valid_block_is_told_so(balance_of: Run, tmp_path: Path) -> None:
    run = invalidated(balance_of, tmp_path / "run", list(balance_of.trials["trial"]))
    with pytest.raises(UsageError, match="no block of trials is valid"):
        build(run, QUICK)


def test_a_directory_that_cannot_be_written_is_told_so(balance_of: Run, tmp_path: Path) -> None:
    run = copy_of(balance_of, tmp_path / "run")
    (run.directory / "figures").write_text("a file is in the way", encoding="utf-8")
    with pytest.raises(OutOfTimeOrRoom, match="cannot be written"):
        build(run, QUICK)


def test_several_runs_stand_on_one_page(balance_of: Run, failover_of: Run, tmp_path: Path) -> None:
    outcomes = [analysed(balance_of, QUICK), analysed(failover_of, FAILOVER)]
    text = write(outcomes, tmp_path / "both.html").read_text(encoding="utf-8")
    page = Reader(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    targets = {where[1:] for where in page.references if where.startswith("#")}
    assert targets <= set(page.ids)
    assert {"r1-figure-transitions", "r2-figure-phases", "r2-trust"} <= set(page.ids)
    assert text.index('id="answers"') < text.index('id="r1-run"') < text.index('id="r2-run"')


def test_runs_named_twice_are_one_and_the_joint_page_goes_where_one_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = balance_run(tmp_path / "balance" / "a", Balancer(connections=20), blocks=1)
    page = tmp_path / "page.html"
    assert main(["report", str(run), str(run), "-w", str(page), "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["report"], row["together"]) == (str(run / "report.html"), str(page))
    assert page.read_text(encoding="utf-8") == (run / "report.html").read_text(encoding="utf-8")
