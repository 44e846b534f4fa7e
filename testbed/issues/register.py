"""Every issue, by its subject."""

from __future__ import annotations

from types import MappingProxyType

from testbed.issues import stale
from testbed.issues.issue import Issue

SUBJECTS = MappingProxyType({"stale-udp": stale.ISSUES})
"""Subject -> its issues, in the order in which tables show them."""
ALL = "all"
ISSUES: tuple[Issue, ...] = tuple(issue for issues in SUBJECTS.values() for issue in issues)
CHOICES = (ALL, *SUBJECTS, *(issue.name for issue in ISSUES))
"""What `--set issues=` may name: everything, a subject, or one issue."""
_SECONDS = {"stale-udp": 4.0}
"""What the scenes of a subject take on an idle machine; they take turns where they wait."""


def chosen(choice: str, mode: str, bug: str) -> tuple[Issue, ...]:
    """The issues of one of `CHOICES` that are attempted in a mode under a switch."""
    if choice == ALL:
        named = ISSUES
    else:
        named = SUBJECTS.get(choice) or tuple(one for one in ISSUES if one.name == choice)
    return tuple(
        one for one in named if bug in one.bugs and (not one.modes or mode.startswith(one.modes))
    )


def estimate_s(choice: str, mode: str, bug: str) -> float:
    """How long a trial takes, without its lab."""
    wanted = chosen(choice, mode, bug)
    return sum(
        seconds
        for subject, seconds in _SECONDS.items()
        if any(one in wanted for one in SUBJECTS[subject])
    )
