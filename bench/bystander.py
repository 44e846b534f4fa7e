"""`python -m bench.bystander --mode MODE [--rounds N]`: a service that nothing is done to, among others.

The others come, change and go, their endpoints flap (its own pods are among them), and proxies start over and
sync in full. Meanwhile it is under load: new connections and kept ones, TCP and UDP, to its cluster IP and to
its node port. No request may fail, go to anybody else's pod, or, on a kept connection or UDP flow, change its
backend. Exit code 1 where one did.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench import neighbours
from bench.soak_verdict import Offer
from testbed.events import Event
from testbed.experiment.modes import with_mode
from testbed.experiment.trial_lab import RunningLoad
from testbed.lab.client import Lab
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.topology import Topology
from testbed.traffic import samples as sample_file
from testbed.traffic.spec import LoadSpec

NODES = ("n1", "n2", "n3")
PATIENCE_S = 20.0
"""A request is unanswered when it has waited for so long: others may have the machine."""
SETTLE_S = 300.0
RESTART_EVERY = 3
"""Rounds. One node's proxy starts over then."""
_PORT, _NODE_PORTS = 80, {"tcp": 30_080, "udp": 30_081}
_SUBJECT = {"tcp": "subject", "udp": "subject-udp"}
_POD_PORT = 8080
BACKENDS = "subject-"
"""How the names of its pods begin."""
_KEPT = 2
"""Connections, or UDP flows, of a load that keeps them."""
_FOREVER = 1_000_000
_EVER_S = 3600.0
_NOISE = "neighbour"
"""Label of a load that is not judged: it gives the UDP neighbours flows to forget."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `crowd`: services that come and go at once, half-way. `rate_rps`: of each load."""

    mode: str
    rounds: int
    crowd: int = 0
    rate_rps: float = 30.0
    kernel: str = "host"
    seed: int = 1

    @property
    def restarts(self) -> bool:
        """In mode userspace connections live in the proxy: a restart concerns them all."""
        return not self.mode.startswith("userspace")


@dataclass(frozen=True, slots=True)
class Result:
    """What was done, and what was wrong with it."""

    plan: Plan
    requests: Mapping[str, int]
    """By load."""
    syncs: Mapping[str, int]
    """By node, those that were over before the loads were."""
    full_syncs: int
    beside_a_sync: int
    """Requests that were under way while some node's proxy synced."""
    failures: Sequence[str]

    def __str__(self) -> str:
        return (
            f"{self.plan.mode}: {len(self.failures)} of {sum(self.requests.values())} requests failed"
            f" ({self.beside_a_sync} beside a sync) in {sum(self.syncs.values())} syncs,"
            f" {self.full_syncs} of them in full"
        )

    @property
    def right(self) -> bool:
        return not self.failures


def topology(name: str, plan: Plan, objects: Sequence[Object] = ()) -> Topology:
    """The lab: the subject's pods and as many of others, callers, and a machine outside."""
    bare = Topology.model_validate(
        {
            "name": name,
            "kernel": plan.kernel,
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "10ms", "userspace": {"udpIdleTimeout": "1h"}},
            "nodes": {node: {} for node in NODES},
            "hosts": {"outside": {}},
            "workloads": {
                "subject": {"replicas": 3, "port": _POD_PORT},
                "other": {"replicas": 3, "port": _POD_PORT},
                "caller": {"node": NODES[-1]},
            },
            "services": {
                name: {
                    "port": _PORT,
                    "protocol": protocol.upper(),
                    "targetPort": _POD_PORT,
                    "nodePort": _NODE_PORTS[protocol],
                    "selector": {"app": "subject"},
                }
                for protocol, name in _SUBJECT.items()
            },
            "manifests": [to_manifest(item) for item in objects],
        }
    )
    return with_mode(bare, plan.mode)


def run(plan: Plan, name: str) -> Result:
    """Bring a lab up, change everything but the subject under load, judge it, take it down."""
    with Lab.up(topology(name, plan), ephemeral=True, timeout_s=SETTLE_S) as lab:
        view = lab.inspect()
        pods = {pod["name"]: Offer(pod["ip"], pod["node"]) for pod in view["pods"]}
        loads = [RunningLoad(spec, lab.start_load(spec)) for spec in _loads(plan, view)]
        for load in loads:
            load.await_start(SETTLE_S)
        began_ns = lab.now_ns()
        offered = [pod for pod in pods if not pod.startswith("caller")]
        states = neighbours.rounds(offered, plan.rounds, plan.crowd, plan.seed)
        for number, state in enumerate(states):
            if plan.restarts and number % RESTART_EVERY == 0:
                lab.fault("restart-proxy", NODES[number // RESTART_EVERY % len(NODES)])
            Lab.up(topology(name, plan, neighbours.objects(state, pods)), timeout_s=SETTLE_S)
        syncs = [event for event in lab.events(began_ns) if event.kind == "sync"]
        for load in loads:
            load.stop()
        samples = {load.spec.label: sample_file.read(load.wait().samples) for load in loads}
        return judged(plan, {label: samples[label] for label in samples if label != _NOISE}, syncs)


def _loads(plan: Plan, view: Mapping[str, Any]) -> Iterator[LoadSpec]:
    """TCP and UDP, new connections and kept ones, from a pod to the cluster IP and from outside to a node
    port; and kept UDP flows to a neighbour.
    """
    cluster_ips = {service["name"]: service["clusterIP"] for service in view["services"]}
    node_ip = view["nodes"][0]["addresses"][0]
    base = LoadSpec(
        source="caller-0",
        url=f"udp://{neighbours.cluster_ip(1)}:80",
        rate_rps=plan.rate_rps,
        duration_s=_EVER_S,
        timeout_s=PATIENCE_S,
        drain_s=PATIENCE_S,
        connections=_KEPT,
        reuse=_FOREVER,
        label=_NOISE,
    )
    yield replace(base, timeout_s=1.0, drain_s=0.0)
    for protocol, service in _SUBJECT.items():
        places = {
            "cluster IP": ("caller-0", f"{cluster_ips[service]}:{_PORT}"),
            "node port": ("outside", f"{node_ip}:{_NODE_PORTS[protocol]}"),
        }
        for kind, reuse in (("new", 1), ("kept", _FOREVER)):
            for what, (source, target) in places.items():
                yield replace(
                    base,
                    source=source,
                    url=f"{protocol}://{target}",
                    reuse=reuse,
                    label=f"{kind} {protocol} {what}",
                    seed=plan.seed,
                )


def judged(plan: Plan, samples: Mapping[str, pd.DataFrame], syncs: Sequence[Event]) -> Result:
    """What the loads and the proxies say. Pure."""
    done = [sync for sync in syncs if not sync.detail["error"]]
    spans = [(sync.detail["start_ns"], sync.detail["end_ns"]) for sync in done]
    return Result(
        plan,
        requests={label: len(rows) for label, rows in samples.items()},
        syncs=Counter(sync.node for sync in done),
        full_syncs=sum(1 for sync in done if sync.detail["full"]),
        beside_a_sync=sum(_beside(rows, spans) for rows in samples.values()),
        failures=[
            *(
                f"{sync.node} could not sync: {sync.detail['error']}"
                for sync in syncs
                if sync.detail["error"]
            ),
            *(text for label, rows in samples.items() for text in failures(label, rows)),
        ],
    )


def _beside(rows: pd.DataFrame, spans: Sequence[tuple[int, int]]) -> int:
    """How many requests were under way at some time of these."""
    met = pd.Series(False, index=rows.index)
    for start_ns, end_ns in spans:
        met |= (rows["start_ns"] < end_ns) & (rows["end_ns"] > start_ns)
    return int(met.sum())


def failures(label: str, rows: pd.DataFrame) -> Iterator[str]:
    """What each request of a load that did not end well met, and each that was answered elsewhere than the one
    before it on its connection.
    """
    last: dict[int, str] = {}
    ordered = rows.sort_values("start_ns")
    columns = (
        ordered[name] for name in ("start_ns", "src_port", "connection", "outcome", "backend")
    )
    for start_ns, port, connection, outcome, backend in zip(*columns, strict=True):
        what = f"{label}, port {port}, at {start_ns} ns: "
        if outcome != "ok":
            yield f"{what}{outcome}"
        elif not backend.startswith(BACKENDS):
            yield f"{what}answered by {backend}"
        elif last.setdefault(connection, backend) != backend:
            yield f"{what}answered by {backend}, before by {last[connection]}"
            last[connection] = backend


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it in the modes that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench.bystander", description=__doc__)
    parser.add_argument("--mode", action="append", required=True, metavar="MODE")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--crowd", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", choices=("host", "uml", "auto"), default="auto")
    options = parser.parse_args(arguments)
    right = True
    for mode in options.mode:
        plan = Plan(mode, options.rounds, options.crowd, kernel=options.kernel, seed=options.seed)
        result = run(plan, f"bystander-{os.getpid()}")
        print(result, *result.failures[:10], sep="\n  ", flush=True)
        right = right and result.right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
