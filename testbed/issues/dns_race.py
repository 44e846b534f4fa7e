"""The five-second DNS delay: two packets of one UDP socket race for one connection tracking entry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from testbed.claims.claim import Observation, still
from testbed.claims.stage import Stage
from testbed.errors import NotFound, TestbedError
from testbed.issues.issue import Issue, attempt
from testbed.issues.judging import many_a_trial
from testbed.issues.pattern import begin
from testbed.issues.waiting import CALM_NODE

PAIRS = 200
NAME = "web.default.svc.cluster.local"
TIMEOUT_S = 1.0
"""Resolvers ask again after 5 s; what has not come after a second, nor by the end, was lost."""
COUNTERS = ("insert_failed", "clash_resolve", "drop")
"""Of conntrack -S: an entry that could not be made; a clash that the kernel resolved; packets lost by it."""
_COUNTER = re.compile(r"\b(\w+)=(\d+)")


def observe(stage: Stage) -> Mapping[str, Observation]:
    """From a pod: pairs of A and AAAA from one socket, each by a CPU of its own, at the same instant."""
    before = counters(stage)
    wanted = {
        "host": resolver(stage),
        "port": 53,
        "name": NAME,
        "pairs": PAIRS,
        "timeout_s": TIMEOUT_S,
    }
    raced = begin(stage, stage.asker(CALM_NODE), race=wanted).answers()["race"]
    after = counters(stage)
    return {"dns-pair-loses-one": lost(raced, {name: after[name] - before[name] for name in after})}


def resolver(stage: Stage) -> str:
    """The cluster address of the DNS service. Raises NotFound."""
    for service in stage.view["services"]:
        if service["namespace"] == "kube-system":
            return str(service["clusterIP"])
    raise NotFound("the lab has no DNS service", "known-issues needs topologies/known-issues.yaml")


def counters(stage: Stage) -> dict[str, int]:
    """What the client's node counts of its connection tracking, over all CPUs."""
    done = stage.lab.exec(CALM_NODE, ["conntrack", "-S"])
    if done.returncode:
        raise TestbedError(f"conntrack -S on {CALM_NODE}: {done.stderr.strip()}")
    totals = Counter(dict.fromkeys(COUNTERS, 0))
    for name, value in _COUNTER.findall(done.stdout):
        if name in totals:
            totals[name] += int(value)
    return dict(totals)


def lost(raced: Mapping[str, Any], counted: Mapping[str, int]) -> Observation:
    """An attempt is a pair; it shows the fault where one of the two answers never came."""
    if raced["cpus"] < 2:
        return attempt(0, 0, "the kernel has one CPU, where no two packets are sent at once")
    # A pair of which nothing came met something else than this race, which one of the two wins.
    answers = [came for came in raced["answers"] if came]
    if not answers:
        return attempt(0, 0, "the DNS service does not answer")
    shown = answers.count(1)
    said = ", ".join(f"{name} {counted[name]}" for name in COUNTERS)
    return attempt(
        len(answers), shown, remark=f"conntrack -S of the client's node in one trial: {said}"
    )


SCENE = still(observe)
ISSUES = (
    Issue(
        "dns-pair-loses-one",
        56903,
        "Of A and AAAA asked at once from one socket, one is lost: the resolver waits 5 s.",
        "two processes on two CPUs send A and AAAA from one new socket to the DNS service's cluster address at "
        "the same instant; two DNS pods are behind it",
        f"a pair, one of {PAIRS} in a trial, each from a new socket",
        f"an answer has not come after {TIMEOUT_S:g} s, nor by the end of the trial's pairs",
        SCENE,
        many_a_trial(),
    ),
)
