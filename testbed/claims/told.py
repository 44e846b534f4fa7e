"""What each mode is told about picking, and the two rules that need more than a sequence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from testbed.claims.claim import Judgement, Observation
from testbed.claims.judging import count
from testbed.proxy.userspace_balancer import DEFAULT

Rule = Literal["random", "cyclic", "least", "one", ""]

_OF_SCHEDULER: dict[str, Rule] = {
    "rr": "cyclic",
    "wrr": "cyclic",  # kube-proxy gives all the same weight
    "lc": "least",
    "wlc": "least",
    "sed": "least",
    "nq": "least",
    "dh": "one",
    "sh": "one",
    "lblc": "one",
    "lblcr": "one",
    "fo": "one",
}
"""ipvsadm(8). `mh` hashes the client's port too, `twos` draws two, `ovf` counts: not told from picks."""


def rule_of(mode: str) -> Rule:
    """How a mode's documentation says that it picks; "" where picks alone do not tell."""
    name, _, variety = mode.partition("/")
    if name.startswith("iptables") or name == "nftables":
        return "random"
    if name == "ipvs":
        return _OF_SCHEDULER.get(variety, "")
    if name != "userspace":
        return ""
    balancers: dict[str, Rule] = {"": "cyclic", DEFAULT: "cyclic", "random": "random"}
    return balancers.get(variety, "")


def judge(observed: Sequence[Observation], rule: Rule) -> Judgement:
    """`least`: of connections that are open at once each backend has as many as the others, to within one.
    `one`: a client's connections all go to one backend, as long as it is not overloaded.
    """
    wrong = _uneven(observed) if rule == "least" else _several(observed)
    tried = sum(len(one["held"] if rule == "least" else one["transitions"]) for one in observed)
    figures = {"trials": len(observed), "clients": tried, "clients_otherwise": len(wrong)}
    what = (
        "open connections are spread evenly, those to come to whoever has fewest"
        if rule == "least"
        else "all connections of a client go to one backend"
    )
    said = f"For {tried - len(wrong)} of {tried} clients in {count(len(observed), 'trial')} {what}"
    if wrong:
        return Judgement("does not hold", f"{said}; one had {wrong[0]}.", figures)
    return Judgement("holds", f"{said}.", figures)


def _uneven(observed: Sequence[Observation]) -> list[str]:
    found = []
    for one in observed:
        for held in one["held"]:
            counts = Counter(held)
            spread = [counts[name] for name in sorted(counts)]
            # A backend that has none is missing from the counts.
            lowest = min(spread) if len(spread) == len(one["backends"]) else 0
            if max(spread) - lowest > 1:
                found.append("/".join(map(str, spread)))
    return found


def _several(observed: Sequence[Observation]) -> list[str]:
    found = []
    for one in observed:
        for place, rows in one["transitions"].items():
            used = np.count_nonzero(np.asarray(rows).sum(axis=0))
            if used > 1:
                found.append(f"{place} {used} backends")
    return found
