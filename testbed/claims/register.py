"""Every claim, by the part of a trial that it is observed in."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from testbed.claims import (
    addresses,
    balance,
    busy,
    dns,
    edges,
    failures,
    ingress,
    load_balancers,
    membership,
    names,
    proxy_path,
    translation,
)
from testbed.claims.claim import Claim

SUBJECTS = MappingProxyType(
    {
        "addresses": addresses.CLAIMS,
        "names": names.CLAIMS,
        "dns": dns.CLAIMS,
        "edges": edges.CLAIMS,
        "load-balancers": load_balancers.CLAIMS,
        "translation": translation.CLAIMS,
        "balance": balance.CLAIMS,
        "busy": busy.CLAIMS,
        "failures": failures.CLAIMS,
        "membership": membership.CLAIMS,
        "ingress": ingress.CLAIMS,
        "proxy-path": proxy_path.CLAIMS,
    }
)
"""Subject -> its claims, in the order in which tables show them."""
PARTS = (
    ("addresses", "names", "dns", "edges", "load-balancers", "translation", "balance"),
    ("busy", "failures", "membership", "ingress"),
    ("proxy-path",),
)
"""One part after the other; within one, scenes take turns. First what changes nothing."""
_SECONDS = {
    "load-balancers": 1.3,
    "failures": 4.0,
    "membership": 3.5,
    "busy": 4.0,
    "ingress": 1.5,
    "proxy-path": 1.0,
}
_STILL_S = 0.3
"""What observing a subject takes, on an idle machine; those that wait do so together."""
ALL = "all"
CLAIMS: tuple[Claim, ...] = tuple(claim for claims in SUBJECTS.values() for claim in claims)
CHOICES = (ALL, *SUBJECTS, *(claim.name for claim in CLAIMS))
"""What `--set claims=` may name: everything, a subject, or one claim."""


def chosen(choice: str) -> tuple[Claim, ...]:
    """The claims of one of `CHOICES`."""
    if choice == ALL:
        return CLAIMS
    return SUBJECTS.get(choice) or tuple(claim for claim in CLAIMS if claim.name == choice)


def parts(claims: Collection[Claim]) -> list[list[Claim]]:
    """The claims by part of the trial; parts without any are left out."""
    found = [
        [claim for subject in part for claim in SUBJECTS[subject] if claim in claims]
        for part in PARTS
    ]
    return [part for part in found if part]


def estimate_s(choice: str) -> float:
    """How long a trial of one of `CHOICES` takes, without its lab and the connections that are counted."""
    claims = chosen(choice)
    subjects = [
        [subject for subject in part if any(claim in claims for claim in SUBJECTS[subject])]
        for part in PARTS
    ]
    still = sum(_STILL_S for part in subjects for subject in part if subject not in _SECONDS)
    return still + sum(
        max((_SECONDS[subject] for subject in part if subject in _SECONDS), default=0.0)
        for part in subjects
    )
