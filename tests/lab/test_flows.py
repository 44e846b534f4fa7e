"""Each row of the flow table, dialled in real namespaces: the same rows that the tracer reads."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.manifest import to_manifest
from testbed.model.objects import (
    Container,
    ContainerPort,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    Service,
)
from testbed.model.support import unsupported
from testbed.model.topology import Topology
from tests import addresses as a
from tests.addresses import PLAN, Plan
from tests.flows import (
    DROPPED,
    FLOWS,
    NAMESPACE,
    POD_PORT,
    POLICY_FLOWS,
    REFUSED,
    STATES,
    UNTOUCHED,
    Flow,
    cluster,
)

pytestmark = pytest.mark.lab

PROBER = Path(__file__).with_name("flow_prober.py")
ATTEMPTS = 60
"""Enough that all of four equal backends answer: one is missed in 10,000,000 runs."""
SILENCE_S = 0.3
PATIENCE_S = 5.0
SILENT_ATTEMPTS = {REFUSED: 30, DROPPED: 3, UNTOUCHED: 3}
"""A refusal is an ICMP message, and the kernel sends a client few of those a second: some are lost.
"""


@dataclass(frozen=True)
class Bench:
    """A lab with the plan's nodes, hosts and pods, at the addresses that it gave them."""

    lab: Lab
    variant: str
    plan: Plan

    def become(self, state: str) -> None:
        """Bring the services and slices to a state; returns when the rules are in place."""
        Lab.up(topology(self.lab.name, self.variant, built(cluster(self.plan, state))))

    def answers(self, state: str) -> dict[str, list[list[str]]]:
        """What each row of a state got, by the row's name."""
        by_client: dict[str, list[Flow]] = defaultdict(list)
        for flow in dialled(state):
            by_client[flow.client].append(flow)
        found: dict[str, list[list[str]]] = {}
        for client, flows in by_client.items():
            targets = [self._target(flow) for flow in flows]
            argv = [sys.executable, str(PROBER), json.dumps({"targets": targets})]
            done = self.lab.exec(self._where(client), argv, timeout_s=60.0)
            assert done.returncode == 0, done.stderr
            found.update(zip((flow.name for flow in flows), json.loads(done.stdout), strict=True))
        return found

    def _where(self, client: str) -> str:
        return f"{NAMESPACE}/{client}" if client in self.plan.pods else client

    def _target(self, flow: Flow) -> dict[str, Any]:
        host, _, port = flow.to.rpartition(":")
        known = {**self.plan.nodes, **self.plan.hosts, **self.plan.pods}
        return {
            "host": known.get(host, host),
            "port": int(port),
            "protocol": flow.protocol,
            "attempts": ATTEMPTS if flow.answers else SILENT_ATTEMPTS[flow.otherwise],
            "timeout_s": PATIENCE_S if flow.answers else SILENCE_S,
            "until": REFUSED,
        }


def topology(name: str, variant: str, objects: tuple[Object, ...]) -> Topology:
    """The plan's machines and pods, with some services."""
    pods = [
        Pod(
            ObjectMeta(pod, NAMESPACE),
            PodSpec(
                (Container("main", "echo", (ContainerPort(POD_PORT),)),),
                node_name=PLAN.pod_nodes[pod],
            ),
        )
        for pod in PLAN.pods
    ]
    return Topology.model_validate(
        {
            "name": name,
            "nodes": {node: {} for node in PLAN.nodes},
            "hosts": {host: {} for host in PLAN.hosts},
            "dns": {"replicas": 1},
            "proxy": {"minSyncPeriod": "10ms", "iptables": {"variant": variant}},
            "manifests": [to_manifest(item) for item in (*pods, *objects)],
        }
    )


def refused_services() -> frozenset[str]:
    """Services of the flow table that this version's `up` does not build."""
    services = [item for item in cluster(PLAN) if isinstance(item, Service)]
    return frozenset(
        item.meta.name for item in services if any(unsupported(topology("x", "nft", (item,))))
    )


def built(objects: tuple[Object, ...]) -> tuple[Object, ...]:
    """Objects without the services that `up` refuses, and their slices."""
    names = refused_services()
    return tuple(item for item in objects if item.meta.name.removesuffix("-a") not in names)


def dialled(state: str) -> list[Flow]:
    """The rows of a state that a lab can dial."""
    rows = [flow for flow in FLOWS if flow.state == state and not flow.needs_route]
    return [flow for flow in rows if not (refused_services() and flow in POLICY_FLOWS)]


def plan_of(lab: Lab) -> Plan:
    """Where the lab has put everybody."""
    seen = lab.inspect()
    pods = [pod for pod in seen["pods"] if pod["namespace"] == NAMESPACE]
    return Plan(
        nodes={node["name"]: node["addresses"][0] for node in seen["nodes"]},
        hosts={host: lab.exec(host, ["hostname", "-I"]).stdout.split()[0] for host in PLAN.hosts},
        pods={pod["name"]: pod["ip"] for pod in pods},
        pod_nodes={pod["name"]: pod["node"] for pod in pods},
    )


@pytest.fixture(scope="module", params=["nft", "legacy"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    name = f"flows-{request.param}-{os.getpid()}"
    with Lab.up(topology(name, request.param, ())) as lab:
        yield Bench(lab, request.param, plan_of(lab))


@pytest.mark.parametrize("state", [state for state in STATES if state != "nothing"])
def test_every_row_of_a_state(bench: Bench, state: str) -> None:
    bench.become(state)
    answers = bench.answers(state)
    wrong = {
        flow.name: difference
        for flow in dialled(state)
        if (difference := difference_of(flow, answers[flow.name], bench.plan))
    }
    assert wrong == {}


def test_a_udp_client_that_keeps_its_port_follows_its_service(bench: Bench) -> None:
    """Its conntrack entry would lead it to the old pod, which is still there and would answer."""
    seen = []
    for state in ("base", "datagrams moved", "datagrams gone", "datagrams moved", "base"):
        bench.become(state)
        target = {"host": a.DATAGRAM, "port": 53, "protocol": "udp", "source_port": 4001}
        limits = {"attempts": 30, "timeout_s": SILENCE_S, "until": REFUSED}
        argv = json.dumps({"targets": [target | limits]})
        done = bench.lab.exec(f"{NAMESPACE}/dialer-3", [sys.executable, str(PROBER), argv])
        seen.append({who for who, _ in json.loads(done.stdout)[0]} - {DROPPED})
    first, moved, gone, again, last = seen
    assert len(first) == 1
    assert first <= {"web-0", "web-1"}
    assert moved == again == {"web-2"}
    assert gone == {REFUSED}
    assert last <= {"web-0", "web-1"}


def difference_of(flow: Flow, got: list[list[str]], plan: Plan) -> str:
    """What is wrong with a row's answers; "" when nothing."""
    names = {ip: name for name, ip in {**plan.nodes, **plan.hosts, **plan.pods}.items()}
    found = {(who, names.get(source, source)) for who, source in got}
    if flow.answers:
        expected = set(flow.answers.items())
        right = len(found) == 1 and found <= expected if flow.sticks else found == expected
        return "" if right else f"expected {expected}, got {found}"
    if flow.otherwise == REFUSED:
        right = found <= {(REFUSED, ""), (DROPPED, "")} and (REFUSED, "") in found
        return "" if right else f"expected {REFUSED}, got {found}"
    if flow.otherwise == DROPPED:
        return "" if found == {(DROPPED, "")} else f"expected {DROPPED}, got {found}"
    answered = {who for who, _ in found if who in plan.pods}
    return f"expected nobody, got {answered}" if answered else ""
