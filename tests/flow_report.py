"""`python -m tests.flow_report`: how many rows of the flow table are wrong in each mode, profile and IP
family, read from the planned rules.

`--mode LABEL` for one mode; exit code 1 where a row is wrong, and what it got instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
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
    options = parser.parse_args()
    failed = False
    for subject in SUBJECTS:
        if options.mode in (None, subject.label):
            for profile in PROFILES:
                for family in PLANS:
                    verdict = traced(subject, family, profile)
                    failed = failed or bool(verdict.wrong)
                    print(verdict)
                    for name, what in verdict.wrong.items():
                        lines = what.splitlines()
                        print(
                            f"    {name}: {lines[0]}",
                            *(lines[1:] if options.details else ()),
                            sep="\n",
                        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
