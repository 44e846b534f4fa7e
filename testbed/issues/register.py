"""Every issue, by its subject."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from testbed.issues import dns_race, imbalance, reuse, stale
from testbed.issues.bugs import ONLY_IN
from testbed.issues.issue import Issue

SUBJECTS = MappingProxyType(
    {
        "stale-udp": stale.ISSUES,
        "imbalance": imbalance.ISSUES,
        "port-reuse": reuse.ISSUES,
        "dns": dns_race.ISSUES,
    }
)
"""Subject -> its issues, in the order in which tables show them."""
PARTS = (("imbalance", "stale-udp"), ("port-reuse",), ("dns",))
"""One part of a trial after the other; within one, scenes take turns where they wait."""
ALL = "all"
ISSUES: tuple[Issue, ...] = tuple(issue for issues in SUBJECTS.values() for issue in issues)
CHOICES = (ALL, *SUBJECTS, *(issue.name for issue in ISSUES))
"""What `--set issues=` may name: everything, a subject, or one issue."""
_SECONDS = {"stale-udp": 3.5, "imbalance": 1.5, "port-reuse": 1.5, "dns": 0.5}
"""What the scenes of a subject take on an idle machine."""


def chosen(choice: str, mode: str, bug: str) -> tuple[Issue, ...]:
    """The issues of one of `CHOICES` that are attempted in a mode under a switch."""
    if choice == ALL:
        named = ISSUES
    else:
        named = SUBJECTS.get(choice) or tuple(one for one in ISSUES if one.name == choice)
    if not mode.startswith(ONLY_IN.get(bug, "")):
        return ()
    return tuple(one for one in named if bug in one.bugs)


def parts(issues: Collection[Issue]) -> list[list[Issue]]:
    """The issues by part of the trial; parts without any are left out."""
    found = [
        [issue for subject in part for issue in SUBJECTS[subject] if issue in issues]
        for part in PARTS
    ]
    return [part for part in found if part]


def estimate_s(choice: str, mode: str, bug: str) -> float:
    """How long a trial takes, without its lab."""
    wanted = chosen(choice, mode, bug)
    return sum(
        seconds
        for subject, seconds in _SECONDS.items()
        if any(one in wanted for one in SUBJECTS[subject])
    )
