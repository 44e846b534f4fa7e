"""What a lab gathered about one traced request, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.ip import family_of
from testbed.trace.prediction import World
from testbed.trace.rule_events import Hit
from testbed.trace.sightings import Ends


@dataclass(frozen=True, slots=True)
class Told:
    """One node: its rules as text, and what its kernel told of the packets that met them."""

    rules: str
    tool: Any
    handles: str
    hits: tuple[Hit, ...]
    counters: tuple[str, str] | None
    """What `iptables-save -c` printed before and after, where the kernel does not tell of packets."""
    marks: int
    """How many rules of the trace's own head each chain of iptables-legacy's table raw."""
    connections: str
    """IPVS's table of connections, as `ipvsadm -lnc` prints it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one request. `bound` is None where nothing could be sent: `outcome` says why."""

    proxy: str
    source: Mapping[str, str]
    """kind, name, node of who asks."""
    protocol: str
    lookup: Mapping[str, Any] | None
    bound: Ends | None
    dialled: str
    """The address that the name stands for; "" where it has none."""
    dialled_port: int
    outcome: str
    report: Mapping[str, Any]
    """Of the request's process: outcome, answer, backend; start_ns, connected_ns, end_ns (CLOCK_MONOTONIC)."""
    told: Mapping[str, Told]
    deaf: Mapping[str, str]
    """Nodes whose kernel tells nothing, and why."""
    lost: int
    """Packets or messages that came faster than they were read."""
    realtime_offset_ns: int
    services: tuple[Mapping[str, Any], ...]
    world: World


def evidence_of(answer: Mapping[str, Any]) -> Evidence:
    """The answer of the lab's `trace`."""
    bound = answer["bound"]
    ends = (bound["src"], bound["sport"], bound["dst"], bound["dport"]) if bound else None
    dialled = ends[2] if ends else answer.get("dst", "")
    report = answer["report"] or {}
    before, after = answer["realtime_offset_ns"]
    return Evidence(
        proxy=answer["proxy"],
        source=answer["from"],
        protocol=answer["protocol"],
        lookup=answer["lookup"],
        bound=ends,
        dialled=dialled,
        dialled_port=ends[3] if ends else answer.get("dport", 0),
        outcome=report.get("outcome") or answer.get("outcome", "client_error"),
        report=report,
        told={name: _told(one) for name, one in answer["told"].items()},
        deaf=answer["deaf"],
        lost=answer["lost"],
        realtime_offset_ns=(before + after) // 2,
        services=tuple(answer["services"]),
        world=_world(answer, family_of(dialled)),
    )


def _told(one: Mapping[str, Any]) -> Told:
    hits = tuple(Hit.from_json(hit) for hit in one["hits"])
    counters = one["counters"]
    return Told(
        one["rules"],
        one["tool"],
        one["handles"],
        hits,
        (counters[0], counters[1]) if counters else None,
        one["marks"],
        one["connections"],
    )


def _world(answer: Mapping[str, Any], family: int) -> World:
    pods: dict[str, str] = {}
    pod_nodes: dict[str, str] = {}
    for pod in answer["pods"]:
        name = pod_name(pod["namespace"], pod["name"])
        pods |= {ip: name for ip in pod["ips"] if family_of(ip) == family}
        pod_nodes[name] = pod["node"]
    machines = answer["machines"].items()
    kinds: dict[str, dict[str, tuple[str, ...]]] = {"node": {}, "host": {}}
    links: dict[str, dict[str, str]] = {"overlay": {}, "gateways": {}}
    for name, machine in machines:
        own = [ip for ip in machine["addresses"] if family_of(ip) == family]
        for kind, known in links.items():
            more = [ip for ip in machine.get(kind, ()) if family_of(ip) == family]
            own += more
            if more:
                known[name] = more[0]
        kinds[machine["kind"]][name] = tuple(dict.fromkeys(own))
    balanced = {ip: tuple(nodes) for ip, nodes in answer["balanced"].items()}
    stopped = frozenset(answer["stopped"])
    nodes, hosts = kinds["node"], kinds["host"]
    return World(pods, pod_nodes, nodes, hosts, **links, balanced=balanced, stopped=stopped)


def pod_name(namespace: str, name: str) -> str:
    """As people write it: without the namespace where that is `default`."""
    return name if namespace == "default" else f"{namespace}/{name}"
