"""`python -m tests.flow_report`: how many rows of the flow table are wrong in each mode, profile and IP
family, read from the planned rules.

`--mode LABEL` for one mode; exit code 1 where a row is wrong, and what it got instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tests.flows import FLOWS, PROFILES, Flow
from tests.traced import arrivals, difference, shown
from tests.tracers import PLANS, SUBJECTS, Subject, tracers


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the rows in one mode, profile and family."""

    label: str
    profile: str
    family: int
    rows: int
    deviating: int
    """Rows in which the mode is to differ from what Kubernetes documents."""
    wrong: Mapping[str, str]
    """Row -> what is wrong with it."""

    def __str__(self) -> str:
        return (
            f"{self.label:16} {self.profile:16} IPv{self.family}  {len(self.wrong)} wrong of"
            f" {self.rows} ({self.deviating} deviate)"
        )

    def details(self) -> str:
        return "\n".join(f"{name}\n  {what}" for name, what in self.wrong.items())


def traced(subject: Subject, family: int, profile: str) -> Verdict:
    """All rows of a family, through the rules that a back end plans for every node."""
    flows = [flow for flow in FLOWS if family in flow.families]
    wrong = {flow.name: what for flow in flows if (what := _wrong(flow, subject, family, profile))}
    return Verdict(
        subject.label, profile, family, len(flows), deviating(flows, subject.mode, profile), wrong
    )


def deviating(flows: list[Flow], mode: str, profile: str) -> int:
    """In how many rows a mode is to differ from what Kubernetes documents."""
    return sum(flow.expected(mode, profile) != flow.documented for flow in flows)


def _wrong(flow: Flow, subject: Subject, family: int, profile: str) -> str:
    rules = tracers(subject, (flow.state, flow.option), family, profile)
    found = arrivals(flow, PLANS[family], rules)
    what = difference(flow.expected(subject.mode, profile), found)
    return f"{what}\n{shown(found)}" if what else ""


def main() -> int:
    """Print a line per mode, profile and family."""
    parser = argparse.ArgumentParser(prog="python -m tests.flow_report", description=__doc__)
    parser.add_argument("--mode", choices=[subject.label for subject in SUBJECTS])
    parser.add_argument("--details", action="store_true", help="of wrong rows, the rules they met")
    parser.add_argument("--deviations", action="store_true", help="only list where modes deviate")
    options = parser.parse_args()
    subjects = [one for one in SUBJECTS if options.mode in (None, one.label)]
    if options.deviations:
        print("\n".join(deviations({one.mode for one in subjects})))
        return 0
    verdicts = [
        traced(subject, family, profile)
        for subject in subjects
        for profile in PROFILES
        for family in PLANS
    ]
    for verdict in verdicts:
        print(verdict)
        for name, what in verdict.wrong.items():
            print(f"    {name}: {what if options.details else what.splitlines()[0]}")
    return int(any(verdict.wrong for verdict in verdicts))


def deviations(modes: Collection[str]) -> Iterator[str]:
    """A line for each row and mode in which kube-proxy 1.36 deviates. (What the userspace mode does not know at
    all follows from its rows' `blind`.)
    """
    for flow in FLOWS:
        for mode, deviation in flow.deviates.items():
            if mode in modes:
                issue = f" (issue {deviation.issue})" if deviation.issue else ""
                both = ", in both profiles" if deviation.documented else ""
                yield f"{mode}: {flow.name}: {deviation.why}{issue}{both}"


if __name__ == "__main__":
    sys.exit(main())
