"""Where a request ended, and whether that is what the rules foretell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import Any

from testbed.trace.evidence import Evidence, Told
from testbed.trace.hits import Met
from testbed.trace.prediction import DELIVERED, UNKNOWN, UNREACHABLE, Way
from testbed.trace.sightings import Leg


def observed_end(evidence: Evidence, found: Sequence[Leg]) -> dict[str, Any]:
    """Where the last leg ended: with whom, whom they saw, or how it was turned away."""
    source = evidence.source["name"]
    if not found:
        left = evidence.outcome
        who = source if evidence.report.get("answer") else ""
        return {"verdict": DELIVERED if who else left, "who": who, "source": ""}
    last = found[-1].request[-1]
    back = found[-1].reply
    turned_away = bool(back) and back[0].packet.quoted is not None
    owner = evidence.world.owner(last.packet.dst)
    if turned_away and not owner and last.machine not in evidence.world.nodes:
        # A router on the way knows no way either, and says so.
        return {"verdict": UNREACHABLE, "who": "", "source": ""}
    if turned_away and (owner != last.machine or last.machine in evidence.world.nodes):
        return {"verdict": "rejected", "who": last.machine, "source": ""}
    if last.direction == "in" and (owner == last.machine or back):
        return {"verdict": DELIVERED, "who": last.machine, "source": last.packet.src}
    if not owner and last.direction == "out":
        return {"verdict": UNREACHABLE, "who": "", "source": ""}
    return {"verdict": "dropped", "who": last.machine, "source": ""}


def handed_up(found: Iterable[Leg]) -> frozenset[str]:
    """Nodes on which a bridge handed the request to the node's own routing.

    There Linux drops the mark by which it tells of rules: of those that follow nothing is heard.
    """
    return frozenset(
        one.machine
        for leg in found
        for one, after in pairwise(leg.request)
        if one.machine == after.machine and one.direction == after.direction == "in"
    )


def disagreements(
    observed: Mapping[str, Any],
    rules: Mapping[str, list[Met]],
    foretold: Iterable[Way],
    evidence: Evidence,
    silent: AbstractSet[str] = frozenset(),
) -> list[str]:
    """What was seen and is not foretold; nothing where all is as the rules say.

    The kernels of `silent` nodes tell of the first rules only.
    """
    foretold = list(foretold)
    if not is_foretold(foretold):
        return []
    alike = [way for way in foretold if _ends_alike(way, observed, evidence)]
    if not alike:
        ends = " or ".join(
            dict.fromkeys(_said(way.verdict, way.who, way.source) for way in foretold)
        )
        seen = _said(observed["verdict"], observed["who"], observed["source"])
        return [f"it was {seen}; the rules say {ends}"]
    met_by_node = {node: _texts(found) for node, found in rules.items()}
    if not met_by_node or evidence.lost:
        return []
    differences = [_rule_difference(way, met_by_node, evidence, silent) for way in alike]
    return min(differences, key=len)


def is_foretold(foretold: Iterable[Way]) -> bool:
    """Whether every way is known to its end."""
    verdicts = {way.verdict for way in foretold}
    return bool(verdicts) and UNKNOWN not in verdicts


def _ends_alike(way: Way, observed: Mapping[str, Any], evidence: Evidence) -> bool:
    if way.verdict != observed["verdict"]:
        # A process that accepts and closes is seen as the end of the way.
        return way.verdict == "closed" and observed["verdict"] == DELIVERED
    if way.verdict != DELIVERED:
        return True
    if way.who != observed["who"]:
        return False
    sources = {way.source, observed["source"] or way.source}
    # Rules do not say which of its addresses a node on the way takes.
    nodes = [evidence.world.nodes.get(node, ()) for node, _ in way.steps]
    return len(sources) == 1 or any(sources <= set(own) for own in nodes)


def _rule_difference(
    way: Way, met_by_node: Mapping[str, list[str]], evidence: Evidence, silent: AbstractSet[str]
) -> list[str]:
    """Rules foretold and not met, met and not foretold; only such as the node's kernel holds."""
    lines: list[str] = []
    foretold: dict[str, list[str]] = {}
    for node, rules in way.steps:
        foretold.setdefault(node, []).extend(rules)
    for node in dict.fromkeys([*foretold, *met_by_node]):
        if node in evidence.deaf:
            continue
        expected, found = foretold.get(node, []), met_by_node.get(node, [])
        spoken = [] if node in silent else expected
        spoken = [rule for rule in spoken if _is_kernels(rule, evidence.told[node])]
        lines += [f"{node}: foretold, not met: {rule}" for rule in spoken if rule not in found]
        lines += [f"{node}: met, not foretold: {rule}" for rule in found if rule not in expected]
    return lines


def _is_kernels(rule: str, told: Told) -> bool:
    """Whether it is a rule that the kernel tells of: a virtual server or a proxy process tells nothing."""
    if told.tool == "nft":
        return True
    words = rule.split()
    return len(words) > 1 and words[0] == "-A" and f"\n:{words[1]} " in told.rules


def _texts(found: Iterable[Met]) -> list[str]:
    return [one.rule for one in found]


def _said(verdict: str, who: str, source: str) -> str:
    if verdict == DELIVERED:
        return f"delivered to {who}" + (f", which sees {source}" if source else "")
    return verdict
