"""JUnit XML, which build machines read: a test case for each answer of a run, or each metric compared.

A claim that does not hold is a failure here, though `testbed run` ends with 0: a refuted hypothesis is
a result, but whoever asks for JUnit wants to be told. Undecided is skipped; trials that are missing are
an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from testbed.analysis.arms import label_of
from testbed.analysis.gate import Judged

Result = Literal["passed", "failure", "error", "skipped"]

_OF_VERDICT: Mapping[str, Result] = {
    "holds": "passed",
    "does not hold": "failure",
    "undecided": "skipped",
    "passes": "passed",
    "not judged": "passed",
    "worse": "failure",
}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; `text` says what was found."""

    suite: str
    name: str
    result: Result
    text: str


def of_runs(rows: Sequence[Mapping[str, Any]]) -> tuple[Case, ...]:
    """The cases of `testbed run`'s rows: whether every trial counts, then each finding."""
    return tuple(case for row in rows for case in _of_run(row))


def _of_run(row: Mapping[str, Any]) -> Iterator[Case]:
    suite = str(row["experiment"])
    missing = row["status"] != "complete"
    yield Case(
        suite,
        "every planned trial counts",
        "error" if missing else "passed",
        f"{row['trials']} of {row['planned']} trials count"
        + (f"; {row['directory']}/trials.csv says why" if missing else ""),
    )
    for finding in row["findings"]:
        parts = (finding["name"] or finding["question"], finding["arm"])
        yield Case(
            suite,
            ", ".join(filter(None, parts)),
            _OF_VERDICT[finding["verdict"]],
            f"{finding['verdict']}: {finding['answer'] or finding['hypothesis']}",
        )


def of_comparison(experiment: str, rows: Sequence[Judged]) -> tuple[Case, ...]:
    """A case for each metric of each arm."""
    return tuple(
        Case(
            experiment,
            ", ".join(filter(None, (one.row.metric, label_of(one.row.factors)))),
            _OF_VERDICT[one.verdict],
            f"{one.verdict}: {in_words(one)}",
        )
        for one in rows
    )


def in_words(one: Judged) -> str:
    """`10 to 12 ms, difference 2 [1, 3], margin 5 %`."""
    row = one.row
    unit = f" {row.unit}" if row.unit else ""
    interval = f" [{_number(row.ci_low)}, {_number(row.ci_high)}]" if row.p is not None else ""
    margin = f", margin {one.margin}" if one.verdict != "not judged" else ""
    return (
        f"{_number(row.mean_a)} to {_number(row.mean_b)}{unit}, difference "
        f"{_number(row.difference)}{interval}{margin}"
    )


def _number(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.4g}"


def xml(cases: Sequence[Case]) -> str:
    """The document; suites in the order of their first cases."""
    root = ElementTree.Element("testsuites", {"name": "testbed", **_counts(cases)})
    for suite in dict.fromkeys(case.suite for case in cases):
        mine = [case for case in cases if case.suite == suite]
        element = ElementTree.SubElement(
            root, "testsuite", {"name": _clean(suite), **_counts(mine)}
        )
        for case in mine:
            _add(element, case)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    results = [case.result for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(results.count("failure")),
        "errors": str(results.count("error")),
        "skipped": str(results.count("skipped")),
    }


def _add(suite: ElementTree.Element, case: Case) -> None:
    names = {"classname": f"testbed.{_clean(case.suite)}", "name": _clean(case.name)}
    element = ElementTree.SubElement(suite, "testcase", names)
    if case.result == "passed":
        ElementTree.SubElement(element, "system-out").text = _clean(case.text)
    else:
        ElementTree.SubElement(element, case.result, message=_clean(case.text))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
