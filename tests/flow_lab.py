"""The flow table in real namespaces: a lab with the plan's machines and pods, brought from state to state, and
dialled from everywhere.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import IO, Any

from testbed.lab.client import Lab
from testbed.model.containers import Container, ContainerPort
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.topology import Topology
from tests.addresses import (
    CLUSTER_CIDR,
    CLUSTER_CIDR6,
    PLAN,
    PLAN6,
    SERVICE_CIDR,
    SERVICE_CIDR6,
    ZONES,
    Plan,
)
from tests.flow import OPTIONS
from tests.flow_report import Verdict, deviating
from tests.flows import (
    CLOSED,
    DROPPED,
    FLOWS,
    LOST,
    NAMESPACE,
    POD_PORT,
    REFUSED,
    STATES,
    UNTOUCHED,
    Answer,
    Flow,
    cluster,
)

PROBER = Path(__file__).with_name("lab") / "flow_prober.py"
ATTEMPTS = {1: 4, 2: 26, 3: 44, 4: 60}
"""By the number of equal backends: enough that all of them answer, but once in 10,000,000 rows."""
SILENCE_S = 0.3
PATIENCE_S = 8.0
"""A lost SYN is sent again after 1, 3 and 7 s; a guest is slow."""
REFUSAL_S = 1.5
"""A SYN's refusal may come while the socket is still busy with sending it: then the next one's counts."""
SILENT_ATTEMPTS = {"": 0, REFUSED: 30, DROPPED: 3, UNTOUCHED: 3, LOST: 3, CLOSED: 1}
"""A refusal is an ICMP message, and the kernel sends a client few of those a second: some are lost.
"""
PAUSE_S = 1.3
"""Longer than the timeout of the service `brief`."""
PAUSES = 25
CLIENTS = sorted({flow.client for flow in FLOWS})
DIALLED_STATES = tuple(state for state in STATES if state != "nothing")

Answers = list[list[str]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a lab is to run. `label` is the mode's, as in results."""

    label: str
    proxy: Mapping[str, Any]
    profile: str
    kernel: str = "host"
    option: str = ""
    sctp: bool = False
    """Whether this kernel has SCTP sockets."""
    cni: str = "host-gw"
    families: tuple[int, ...] = (4, 6)

    @property
    def network(self) -> dict[str, str]:
        """Of the topology."""
        own = {4: (CLUSTER_CIDR, SERVICE_CIDR), 6: (CLUSTER_CIDR6, SERVICE_CIDR6)}
        pods, services = zip(*(own[family] for family in self.families), strict=True)
        return {
            "podCIDR": ",".join(map(str, pods)),
            "serviceCIDR": ",".join(map(str, services)),
            "cni": self.cni,
        }

    @property
    def proxy_options(self) -> dict[str, Any]:
        """Of `proxy` in a topology."""
        return {**self.proxy, **OPTIONS[self.option]}

    @property
    def mode(self) -> str:
        return str(self.proxy["mode"])

    def expected(self, flow: Flow) -> Answer:
        """What a row is to get."""
        return flow.expected(
            self.mode,
            self.profile,
            masquerade=self.cni != "host-gw",
            outside_too=self.cni in {"vxlan", "weave"},
        )


@dataclass(slots=True)
class Prober:
    """A process that dials from one place for as long as its input is open."""

    to: IO[str]
    answers: IO[str]

    def ask(self, groups: list[dict[str, Any]]) -> list[Answers]:
        print(json.dumps(groups), file=self.to, flush=True)
        line = self.answers.readline()
        assert line, "the prober has ended; its error output says why"
        found: list[Answers] = json.loads(line)
        return found


@dataclass(slots=True)
class FlowLab:
    """A lab with the plans' nodes, hosts and pods, at the addresses that it gave them."""

    lab: Lab
    setting: Setting
    plans: Mapping[int, Plan]
    probers: Mapping[str, Prober]

    def become(self, state: str) -> None:
        """Bring the services and slices to a state; returns when the rules are in place."""
        objects = cluster(self.plans[4], state, self.plans.get(6))
        Lab.up(topology(self.lab.name, self.setting, objects), timeout_s=300)

    def verdicts(self, states: Iterable[str] = DIALLED_STATES) -> list[Verdict]:
        """What became of the rows of these states, for each family.

        Silence is judged by the clock, and a machine may be busy; and in IPVS a masqueraded connection whose
        port the pod's node knows from another one gets no answer, once in some thousand (docs/proxy-modes.md).
        So a row that is wrong because of silence is dialled again, alone, and that counts.
        """
        dialled: dict[int, list[Flow]] = {family: [] for family in self.plans}
        wrong: dict[int, dict[str, str]] = {family: {} for family in self.plans}
        for state in states:
            self.become(state)
            for family, plan in self.plans.items():
                flows = rows(state, family, self.setting)
                answers = self._answers(flows, plan)
                dialled[family] += flows
                for flow, got in zip(flows, answers, strict=True):
                    what = difference(flow, self.setting, got, plan)
                    if what and [DROPPED, ""] in got:
                        print(f"dialled again: {flow.name} ({state}): {what}")
                        again = self._answers([flow], plan)[0]
                        what = difference(flow, self.setting, again, plan)
                    if what:
                        wrong[family][f"{flow.name} ({state})"] = what
        label, mode, profile = self.setting.label, self.setting.mode, self.setting.profile
        return [
            Verdict(
                label, profile, family, len(flows), deviating(flows, mode, profile), wrong[family]
            )
            for family, flows in dialled.items()
        ]

    def dial(self, client: str, target: dict[str, Any]) -> Answers:
        """What one target answers one client."""
        return self.probers[client].ask([{"route_via": "", "targets": [target]}])[0]

    def _answers(self, flows: list[Flow], plan: Plan) -> list[Answers]:
        """What each row got, all clients dialling at the same time."""
        by_client: dict[str, list[Flow]] = defaultdict(list)
        for flow in sorted(flows, key=lambda flow: flow.via):
            by_client[flow.client].append(flow)
        found: dict[str, Answers] = {}

        def dial(client: str, mine: list[Flow]) -> None:
            groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for flow in mine:
                groups[flow.via].append(target_of(flow, self.setting, plan))
            asked = [
                {"route_via": plan.nodes[via] if via else "", "targets": targets}
                for via, targets in groups.items()
            ]
            answers = self.probers[client].ask(asked)
            found.update(zip((flow.name for flow in mine), answers, strict=True))

        _at_once([(dial, client, mine) for client, mine in by_client.items()])
        return [found[flow.name] for flow in flows]


def _at_once(calls: list[tuple[Any, ...]]) -> None:
    threads = [threading.Thread(target=call, args=arguments) for call, *arguments in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rows(state: str, family: int, setting: Setting) -> list[Flow]:
    """The rows of a state that a lab can dial."""
    return [
        flow
        for flow in FLOWS
        if (flow.state, flow.option) == (state, setting.option)
        and family in flow.families
        and (setting.sctp or flow.protocol != "sctp")
    ]


def differing_states(setting: Setting) -> tuple[str, ...]:
    """The states with a row that this mode answers differently in the two profiles, and the base."""
    differ = {
        flow.state
        for flow in FLOWS
        if flow.option == setting.option
        and flow.expected(setting.mode, "documented")
        != flow.expected(setting.mode, "kube-proxy-1.36")
    }
    return tuple(state for state in DIALLED_STATES if state in differ or state == "base")


def deviating_states(setting: Setting) -> tuple[str, ...]:
    """The states with a row that this mode answers in its own way, and the base."""
    own = {flow.state for flow in FLOWS if setting.mode in flow.deviates}
    return tuple(state for state in DIALLED_STATES if state in own or state == "base")


def topology(name: str, setting: Setting, objects: tuple[Object, ...]) -> Topology:
    """The plan's machines and pods, with some services."""
    ports = [ContainerPort(POD_PORT)]
    if setting.sctp:
        ports.append(ContainerPort(POD_PORT, "sctp", "SCTP"))
    pods = [
        Pod(
            ObjectMeta(pod, NAMESPACE),
            PodSpec((Container("main", "echo", tuple(ports)),), node_name=PLAN.pod_nodes[pod]),
        )
        for pod in PLAN.pods
    ]
    return Topology.model_validate(
        {
            "name": name,
            "kernel": setting.kernel,
            "network": setting.network,
            "nodes": {node: {"zone": ZONES[node]} for node in PLAN.nodes},
            "hosts": {host: {} for host in PLAN.hosts},
            "dns": {"replicas": 1},
            "proxy": {"minSyncPeriod": "10ms", "profile": setting.profile} | setting.proxy_options,
            "manifests": [to_manifest(item) for item in (*pods, *objects)],
        }
    )


@contextmanager
def flow_lab(name: str, setting: Setting) -> Iterator[FlowLab]:
    """A lab of a setting with a prober at every client, nothing in it but pods yet."""
    with ExitStack() as stack:
        lab = stack.enter_context(
            Lab.up(topology(name, setting, ()), timeout_s=300, ephemeral=True)
        )
        plans = {family: plan_of(lab, family) for family in setting.families}
        for family, plan in plans.items():
            bits = 32 if family == 4 else 128
            for node, ip in plan.second.items():
                # Deprecated, or else connections would begin at it.
                new = ["nodad", "preferred_lft", "0"] if family == 6 else []
                done = lab.exec(node, ["ip", "address", "add", f"{ip}/{bits}", "dev", "eth0", *new])
                assert done.returncode == 0, done.stderr
        probers = {client: stack.enter_context(_prober(lab, client)) for client in CLIENTS}
        yield FlowLab(lab, setting, plans, probers)


@contextmanager
def _prober(lab: Lab, client: str) -> Iterator[Prober]:
    where = f"{NAMESPACE}/{client}" if client in PLAN.pods else client
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()

    def run() -> None:
        argv = [sys.executable, str(PROBER)]
        try:
            Lab.attach(lab.name).execute(where, argv, (in_read, out_write, 2), dict(os.environ))
        finally:
            os.close(in_read)
            os.close(out_write)

    thread = threading.Thread(target=run)
    thread.start()
    with os.fdopen(out_read) as answers:
        try:
            with os.fdopen(in_write, "w") as to:
                yield Prober(to, answers)
        finally:
            thread.join()


def plan_of(lab: Lab, family: int) -> Plan:
    """Where the lab has put everybody; a further address for n1 that is free."""

    def own(ips: Iterable[str]) -> str:
        return next(ip for ip in ips if (":" in ip) == (family == 6))

    seen = lab.inspect()
    pods = [pod for pod in seen["pods"] if pod["namespace"] == NAMESPACE]
    nodes = {node["name"]: own(node["addresses"]) for node in seen["nodes"]}
    return Plan(
        nodes=nodes,
        hosts={host: own(lab.exec(host, ["hostname", "-I"]).stdout.split()) for host in PLAN.hosts},
        pods={pod["name"]: own(pod["ips"]) for pod in pods},
        pod_nodes={pod["name"]: pod["node"] for pod in pods},
        addresses=(PLAN6 if family == 6 else PLAN).addresses,
        second={"n1": str(ip_address(nodes["n1"]) + 99)},
        family=family,
        # Of its range a node has the first address in flannel's overlay, the next one in Weave's.
        overlay={
            str(ip_network(own(node["podCIDRs"]))[index]): node["name"]
            for node in seen["nodes"]
            for index in (0, 1)
        },
    )


def target_of(flow: Flow, setting: Setting, plan: Plan) -> dict[str, Any]:
    """How a row is dialled."""
    host, _, port = flow.to.rpartition(":")
    expected = setting.expected(flow)
    certain = expected.pods and not expected.otherwise
    full_name = host.endswith(".svc.cluster.local")
    target = {
        "host": host if full_name and plan.family == 4 else plan.target(host),
        "port": int(port),
        "protocol": flow.protocol,
        "attempts": SILENT_ATTEMPTS[expected.otherwise],
        "timeout_s": REFUSAL_S if expected.otherwise == REFUSED else SILENCE_S,
        "until": REFUSED,
        "failures": 100,
    }
    if expected.pods:
        target["attempts"] = ATTEMPTS[len(expected.pods) + bool(expected.otherwise)]
    if certain:
        target |= {"timeout_s": PATIENCE_S, "failures": 2}
    if flow.expires:
        target |= {"pause_s": PAUSE_S, "attempts": 4 if _kept(flow, setting) else PAUSES}
    return target


def _kept(flow: Flow, setting: Setting) -> bool:
    deviation = flow.deviates.get(setting.mode)
    return bool(deviation and deviation.kept)


def difference(flow: Flow, setting: Setting, got: Answers, plan: Plan) -> str:
    """What is wrong with a row's answers; "" when nothing.

    Of IPVS' nodes every service address is their own, and IPv6 takes for a source, where a link has no
    global address, the one most like the destination: it masquerades as any of them.
    """
    names = {ip: name for name, ip in {**plan.nodes, **plan.hosts, **plan.pods}.items()}
    names |= plan.overlay
    answer = setting.expected(flow)
    own = set(plan.addresses.values()) if setting.mode == "ipvs" and plan.family == 6 else set()
    found = {
        (who, answer.pods.get(who, "") if source in own else names.get(source, source))
        for who, source in got
    }
    sticks = flow.sticks or (flow.expires and _kept(flow, setting))
    if answer.pods:
        right = _right(answer, found, sticks=sticks, some=flow.expires)
        return "" if right else f"expected {answer}, got {sorted(found)}"
    return _silence(answer.otherwise, found, plan)


def _right(answer: Answer, found: set[tuple[str, str]], *, sticks: bool, some: bool) -> bool:
    expected = set(answer.pods.items())
    if answer.otherwise:
        return found == {*expected, (DROPPED, "")}
    if sticks:
        return len(found) == 1 and found <= expected
    return len(found) > 1 and found <= expected if some else found == expected


def _silence(expected: str, found: set[tuple[str, str]], plan: Plan) -> str:
    """What is wrong where nobody should answer."""
    if expected == REFUSED:
        right = found <= {(REFUSED, ""), (DROPPED, "")} and (REFUSED, "") in found
    elif expected in {DROPPED, LOST}:
        right = found == {(DROPPED, "")}
    elif expected == CLOSED:
        right = found == {(CLOSED, "")}
    else:
        right = not any(who in plan.pods for who, _ in found)
    return "" if right else f"expected {expected}, got {sorted(found)}"
