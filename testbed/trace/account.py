"""The account of a traced request: what was looked up, which rules it met, where it was seen, and whether that
is what the rules foretell. Plain JSON values; `testbed trace -o json` prints them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from testbed.ip import host_port
from testbed.packets.decode import Packet
from testbed.packets.describe import content
from testbed.proxy.packet import Packet as TracedPacket
from testbed.trace.dump import tracer_of
from testbed.trace.evidence import Evidence, Told, pod_name
from testbed.trace.hits import Met, counted, met, speller
from testbed.trace.prediction import DELIVERED, Way, kept_ways, ways
from testbed.trace.sightings import Ends, Leg, Sighting, datagram, ends_of, is_first, legs

UNREACHABLE, UNKNOWN = "unreachable", "unknown"


def account(evidence: Evidence, seen: Sequence[Sighting], marker: bytes) -> dict[str, Any]:
    """Everything about the request, in the order in which it happened; see docs/tracing.md for the keys."""
    told: dict[str, Any] = {
        "proxy": evidence.proxy,
        "from": dict(evidence.source),
        "protocol": evidence.protocol,
        "lookup": evidence.lookup,
        "request": None,
        "rules": [],
        "ipvs": [],
        "legs": [],
        "outcome": _outcome(evidence),
        "observed": None,
        "predicted": [],
        "disagreements": [],
        "lost": evidence.lost,
        "unheard": dict(evidence.deaf),
    }
    if evidence.bound is None:
        return told | _not_sent(evidence)
    found = _found(evidence, seen, marker)
    rules = _rules(evidence, found, marker)
    observed = _observed(evidence, found)
    predicted, kept = _predicted(evidence)
    disagreements = _disagreements(observed, rules, (*predicted, *kept), evidence)
    start_ns = found[0].request[0].t_ns if found else 0
    return told | {
        "request": {
            "src": _end(evidence.bound[:2]),
            "dst": _end(evidence.bound[2:]),
            "is": meaning(evidence, evidence.bound[2], evidence.bound[3]),
        },
        "rules": [
            {
                "node": node,
                "by": "counters" if node in evidence.deaf else "kernel",
                "met": [_met_json(one) for one in found_there],
            }
            for node, found_there in rules.items()
        ],
        "ipvs": _ipvs(evidence),
        "legs": [
            _leg(leg, leg.request[0].ends if number else evidence.bound, start_ns)
            for number, leg in enumerate(found)
        ],
        "observed": observed,
        "predicted": [_way_json(way) for way in predicted],
        "affinity": [_way_json(way) for way in kept],
        "disagreements": disagreements,
        "agrees": not disagreements if _is_foretold((*predicted, *kept)) else None,
    }


def _not_sent(evidence: Evidence) -> dict[str, Any]:
    """Where the kernel had no way to send it, the plan of addresses should say so, too."""
    if not evidence.dialled:
        return {"agrees": None}
    packet = TracedPacket(evidence.protocol, "", evidence.dialled, 0)
    start = evidence.source["name"]
    foretold = ways(packet, start, evidence.world, {}) if _is_host(evidence) else ()
    observed = {"verdict": UNREACHABLE, "who": "", "source": ""}
    return {
        "observed": observed,
        "predicted": [_way_json(way) for way in foretold],
        "agrees": any(way.verdict == UNREACHABLE for way in foretold) or None,
    }


def _is_host(evidence: Evidence) -> bool:
    world = evidence.world
    return (
        evidence.source["name"] in world.hosts and world.owner(evidence.dialled) not in world.nodes
    )


def meaning(evidence: Evidence, ip: str, port: int) -> str:
    """What an address stands for: `the cluster address of web`."""
    for service in evidence.services:
        name = pod_name(service["namespace"], service["name"])
        if ip in service["clusterIPs"]:
            return f"the cluster address of service {name}"
        node_ports = [one["nodePort"] for one in service["ports"]]
        owner = evidence.world.owner(ip)
        if owner in evidence.world.nodes and port in node_ports:
            return f"node {owner}, node port of service {name}"
    owner = evidence.world.owner(ip)
    if not owner:
        return "an address that nothing in the lab has"
    kind = "pod" if owner in evidence.world.pod_nodes else "node"
    return f"{'host' if owner in evidence.world.hosts else kind} {owner}"


def _found(evidence: Evidence, seen: Sequence[Sighting], marker: bytes) -> tuple[Leg, ...]:
    assert evidence.bound is not None
    if evidence.protocol == "udp":
        return datagram(seen, evidence.bound, marker)
    src = evidence.bound[:2]
    told = evidence.told.get(evidence.source["node"] or evidence.source["name"])
    packets = [hit.packet for hit in told.hits if hit.packet is not None] if told else []
    seq = next((one.seq for one in packets if one.is_syn and ends_of(one)[:2] == src), None)
    return legs(seen, evidence.bound, seq, marker)


def _outcome(evidence: Evidence) -> dict[str, Any]:
    report = evidence.report
    start_ns = report.get("start_ns", 0)

    def after_us(key: str) -> float | None:
        return round((report[key] - start_ns) / 1e3, 1) if key in report else None

    return {
        "result": evidence.outcome,
        "answer": report.get("answer", ""),
        "backend": report.get("backend", ""),
        "connected_us": after_us("connected_ns") if evidence.protocol == "tcp" else None,
        "answered_us": after_us("end_ns"),
    }


def _rules(evidence: Evidence, found: Sequence[Leg], marker: bytes) -> dict[str, list[Met]]:
    """What the first packets of all legs met, by node in the order of the way."""
    firsts = [leg.request[0].packet for leg in found]

    def ours(packet: Packet) -> bool:
        return any(is_first(packet, first.protocol, first.seq, marker) for first in firsts)

    order = [one.machine for leg in found for one in leg.request]
    nodes = sorted(
        evidence.told, key=lambda name: order.index(name) if name in order else len(order)
    )
    by_node = {name: _met_on(evidence.told[name], ours) for name in nodes}
    return {name: rules for name, rules in by_node.items() if rules}


def _met_on(told: Told, ours: Any) -> list[Met]:
    if told.counters is not None:
        return counted(*told.counters)
    if not told.hits:
        return []
    return met(told.hits, ours, speller(told.tool, told.rules, told.handles, told.marks))


def _observed(evidence: Evidence, found: Sequence[Leg]) -> dict[str, Any]:
    """Where the last leg ended: with whom, whom they saw, or how it was turned away."""
    source = evidence.source["name"]
    if not found:
        left = evidence.outcome
        who = source if evidence.report.get("answer") else ""
        return {"verdict": DELIVERED if who else left, "who": who, "source": ""}
    last = found[-1].request[-1]
    back = found[-1].reply
    turned_away = bool(back) and back[0].packet.quoted is not None
    is_end = last.direction == "in"
    owner = evidence.world.owner(last.packet.dst)
    if turned_away and owner != last.machine:
        return {"verdict": "rejected", "who": back[0].machine, "source": ""}
    if turned_away and last.machine in evidence.world.nodes:
        return {"verdict": "rejected", "who": last.machine, "source": ""}
    if is_end and (owner == last.machine or back):
        return {"verdict": DELIVERED, "who": last.machine, "source": last.packet.src}
    if not owner and last.direction == "out":
        return {"verdict": UNREACHABLE, "who": "", "source": ""}
    return {"verdict": "dropped", "who": last.machine, "source": ""}


def _predicted(evidence: Evidence) -> tuple[tuple[Way, ...], tuple[Way, ...]]:
    assert evidence.bound is not None
    src, _, dst, dport = evidence.bound
    family = 6 if ":" in dst else 4
    world = evidence.world
    tracers = {
        name: tracer_of(told.rules, world.nodes[name], family)
        for name, told in evidence.told.items()
        if told.rules
    }
    if set(tracers) != set(world.nodes):
        return (), ()
    packet = TracedPacket(evidence.protocol, src, dst, dport)
    start = evidence.source["name"]
    return ways(packet, start, world, tracers), kept_ways(packet, start, world, tracers)


def _disagreements(
    observed: Mapping[str, Any],
    rules: Mapping[str, list[Met]],
    foretold: Iterable[Way],
    evidence: Evidence,
) -> list[str]:
    """What was seen and is not foretold; nothing where all is as the rules say."""
    foretold = list(foretold)
    if not _is_foretold(foretold):
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
    differences = [_rule_difference(way, met_by_node, evidence) for way in alike]
    return min(differences, key=len)


def _is_foretold(foretold: Iterable[Way]) -> bool:
    """Whether every way is known to its end."""
    verdicts = {way.verdict for way in foretold}
    return bool(verdicts) and UNKNOWN not in verdicts


def _ends_alike(way: Way, observed: Mapping[str, Any], evidence: Evidence) -> bool:
    if way.verdict != observed["verdict"]:
        # A process that accepts and closes is seen as the end of the way.
        return way.verdict == "closed" and observed["verdict"] == DELIVERED
    if way.verdict != DELIVERED:
        return True
    same_source = not observed["source"] or way.source == observed["source"]
    own = evidence.world.nodes.get(way.steps[-1][0], ()) if way.steps else ()
    return way.who == observed["who"] and (
        same_source or {way.source, observed["source"]} <= set(own)
    )


def _rule_difference(
    way: Way, met_by_node: Mapping[str, list[str]], evidence: Evidence
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
        spoken = [rule for rule in expected if _is_kernels(rule, evidence.told[node])]
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


def _leg(leg: Leg, before: Ends, start_ns: int) -> dict[str, Any]:
    return {
        "request": _hops(leg.request, before, start_ns),
        "reply": _hops(leg.reply, None, start_ns),
    }


def _hops(way: Sequence[Sighting], before: Ends | None, start_ns: int) -> list[dict[str, Any]]:
    hops: list[dict[str, Any]] = []
    for one in way:
        ends = ends_of(one.packet)
        is_error = one.packet.quoted is not None
        changed = "" if before is None or is_error else _change(before, ends)
        hops.append(
            {
                "us": round((one.t_ns - start_ns) / 1e3, 1),
                "machine": one.machine,
                "interface": one.interface,
                "direction": one.direction,
                "src": one.packet.source,
                "dst": one.packet.destination,
                "says": f"{one.packet.protocol} {content(one.packet)}".strip(),
                "changed": changed,
            }
        )
        before = None if is_error else ends
    return hops


def _change(before: Ends, after: Ends) -> str:
    """What was rewritten since the last interface."""
    changed = []
    if before[2:] != after[2:]:
        changed.append("destination")
    if before[:2] != after[:2]:
        changed.append("source")
    return " and ".join(changed)


def _ipvs(evidence: Evidence) -> list[dict[str, str]]:
    """The load balancer's own entries for this client: `TCP 00:59 ESTABLISHED client virtual real`."""
    assert evidence.bound is not None
    client = _end(evidence.bound[:2])
    rows = []
    for node, told in evidence.told.items():
        for line in told.connections.splitlines():
            words = line.split()
            if len(words) >= 6 and words[3] == client:
                rows.append(
                    {"node": node, "state": words[2], "virtual": words[4], "real": words[5]}
                )
    return rows


def _met_json(one: Met) -> dict[str, Any]:
    return {
        "table": one.table,
        "chain": one.chain,
        "rule": one.rule,
        "probability": one.probability,
        "verdict": one.verdict,
    }


def _way_json(way: Way) -> dict[str, Any]:
    return {
        "probability": way.probability,
        "verdict": way.verdict,
        "who": way.who,
        "source": way.source,
        "destination": way.destination,
        "reason": way.reason,
        "rules": [{"node": node, "rules": list(rules)} for node, rules in way.steps],
    }


def _end(pair: tuple[Any, ...]) -> str:
    return host_port(str(pair[0]), int(pair[1]))
