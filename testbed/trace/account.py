"""The account of a traced request: what was looked up, which rules it met, where it was seen, and whether that
is what the rules foretell. Plain JSON values; `testbed trace -o json` prints them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.ip import host_port
from testbed.packets.decode import Packet
from testbed.packets.describe import content
from testbed.proxy.packet import Packet as TracedPacket
from testbed.trace.comparison import disagreements, handed_up, is_foretold, observed_end
from testbed.trace.dump import tracer_of
from testbed.trace.evidence import Evidence, Told, pod_name
from testbed.trace.hits import Met, counted, met, speller
from testbed.trace.outside_way import outside_way
from testbed.trace.prediction import UNREACHABLE, Way, kept_ways, ways
from testbed.trace.sightings import Ends, Leg, Sighting, datagram, ends_of, is_first, legs


def account(evidence: Evidence, seen: Sequence[Sighting], marker: bytes) -> dict[str, Any]:
    """Everything about the request, in the order in which it happened; see docs/tracing.md for the keys."""
    told: dict[str, Any] = {
        "proxy": evidence.proxy,
        "from": dict(evidence.source),
        "protocol": evidence.protocol,
        "lookup": evidence.lookup,
        "request": None,
        "hint": _hint(evidence),
        "rules": [],
        "ipvs": [],
        "legs": [],
        "outcome": _outcome(evidence),
        "observed": None,
        "predicted": [],
        "disagreements": [],
        "lost": evidence.lost,
        "unheard": dict(evidence.deaf),
        "silent": [],
    }
    if evidence.bound is None:
        return told | _not_sent(evidence)
    found = _found(evidence, seen, marker)
    rules = _rules(evidence, found, marker)
    observed = observed_end(evidence, found)
    predicted, kept = _predicted(evidence)
    silent = handed_up(found)
    found_wrong = disagreements(observed, rules, (*predicted, *kept), evidence, silent)
    start_ns = found[0].request[0].t_ns if found else 0
    times = (start_ns, evidence.realtime_offset_ns)
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
            _leg(leg, leg.request[0].ends if number else evidence.bound, times)
            for number, leg in enumerate(found)
        ],
        "observed": observed,
        "predicted": [_way_json(way) for way in predicted],
        "affinity": [_way_json(way) for way in kept],
        "silent": sorted(silent),
        "disagreements": found_wrong,
        "agrees": not found_wrong if is_foretold((*predicted, *kept)) else None,
    }


def _hint(evidence: Evidence) -> str:
    """For who dialled from outside what only the cluster knows."""
    if evidence.source["kind"] != "host":
        return ""
    world = evidence.world
    running = (name for name, ips in world.nodes.items() if ips and name not in world.stopped)
    asked = (evidence.dialled, evidence.dialled_port, evidence.protocol)
    return outside_way(evidence.services, next(running, ""), *asked)


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
        if ip in service.get("loadBalancerIPs", ()):
            return f"the load balancer's address of service {name}"
        if ip in service.get("externalIPs", ()):
            return f"an external address of service {name}"
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
    if set(tracers) != set(world.nodes) - world.stopped:
        return (), ()
    packet = TracedPacket(evidence.protocol, src, dst, dport)
    start = evidence.source["name"]
    return ways(packet, start, world, tracers), kept_ways(packet, start, world, tracers)


def _leg(leg: Leg, before: Ends, times: tuple[int, int]) -> dict[str, Any]:
    return {
        "request": _hops(leg.request, before, times),
        "reply": _hops(leg.reply, None, times),
    }


def _hops(
    way: Sequence[Sighting], before: Ends | None, times: tuple[int, int]
) -> list[dict[str, Any]]:
    """`times`: when the first packet was first seen, and CLOCK_REALTIME minus CLOCK_MONOTONIC."""
    start_ns, offset_ns = times
    hops: list[dict[str, Any]] = []
    for one in way:
        ends = ends_of(one.packet)
        is_error = one.packet.quoted is not None
        changed = "" if before is None or is_error else _change(before, ends)
        hops.append(
            {
                "t_ns": one.t_ns - offset_ns,
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
