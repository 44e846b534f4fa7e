"""`python -m bench.soak --mode MODE [--changes N]`: endpoints come and go under load, in a mode of the proxy.

Then two questions. Do the kernel's rules equal a fresh plan, made from the last objects alone? Did a connection
that began after a node had programmed a withdrawal still get the withdrawn backend there? (Session affinity
aside: none of these services has it.) Exit code 1 where the answer to either is the wrong one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.soak_verdict import Offer, connections, stray_connections, withdrawals
from testbed.events import Event
from testbed.experiment.modes import with_mode
from testbed.lab.backends import backend
from testbed.lab.client import Lab
from testbed.model.manifest import to_manifest
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service, ServicePort
from testbed.model.shorthand import expand_allocated
from testbed.model.topology import Topology
from testbed.proxy.table import ProxyConfig, forwarding_table
from testbed.store import Create, Store
from testbed.traffic.spec import LoadSpec

NODES = ("n1", "n2", "n3")
PODS = 9
SERVICES = 20
AT_ONCE = 5
"""How many services change in a round, at most."""
RATE_RPS = 60.0
"""Of each of the loads: one per node, and one more by UDP."""
_PORT = 8080
_EVER_S = 1800.0


@dataclass(frozen=True, slots=True)
class Soak:
    """What is to be done. `changes`: endpoints that come or go, at least."""

    mode: str
    changes: int
    seed: int = 1
    kernel: str = "host"


@dataclass(frozen=True, slots=True)
class Result:
    """What was done, and what was wrong with it."""

    soak: Soak
    changes: int
    rounds: int
    connections: int
    """Whose backend is known, that began while changes were made."""
    after_withdrawal: int
    """Of these: to a service that had a withdrawn backend then, on the node that picked."""
    strays: Sequence[str]
    differing_nodes: Sequence[str]

    def __str__(self) -> str:
        return (
            f"{self.soak.mode}: {self.changes} endpoint changes in {self.rounds} rounds,"
            f" {len(self.differing_nodes)} of {len(NODES)} nodes differ from a fresh plan,"
            f" {len(self.strays)} of {self.connections} connections ({self.after_withdrawal} of them"
            " to a service with a withdrawn backend) reached a withdrawn backend"
        )

    @property
    def right(self) -> bool:
        return not self.strays and not self.differing_nodes


Choice = tuple[tuple[str, ...], ...]
"""For each service, the pods behind it."""


def rounds(pods: Sequence[str], changes: int, seed: int) -> Iterator[tuple[Choice, int]]:
    """States one after the other, with how many endpoints have come or gone so far. Pure."""
    chance = random.Random(f"soak {seed}")
    choice = [tuple(pods) for _ in range(SERVICES)]
    done = 0
    while done < changes:
        for number in chance.sample(range(SERVICES), chance.randint(1, AT_ONCE)):
            chosen = tuple(pod for pod in pods if chance.random() < 0.5) or (chance.choice(pods),)
            done += len(set(chosen) ^ set(choice[number]))
            choice[number] = chosen
        yield tuple(choice), done


def topology(name: str, soak: Soak, objects: Sequence[Object] = ()) -> Topology:
    """The lab: echo pods on every node, a dialling pod on each, services as they are given."""
    bare = Topology.model_validate(
        {
            "name": name,
            "kernel": soak.kernel,
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "10ms"},
            "nodes": {node: {} for node in NODES},
            "workloads": {
                "web": {"replicas": PODS},
                **{f"dial-{node}": {"node": node} for node in NODES},
            },
            "manifests": [to_manifest(item) for item in objects],
        }
    )
    return with_mode(bare, soak.mode)


def services(choice: Choice, pods: dict[str, Offer]) -> list[Object]:
    """The services and their endpoints. The last one is UDP."""
    found: list[Object] = []
    for number, chosen in enumerate(choice):
        name, protocol = f"svc-{number}", "UDP" if number == SERVICES - 1 else "TCP"
        meta = ObjectMeta(f"{name}-a", "default", labels={SERVICE_NAME_LABEL: name})
        endpoints = tuple(Endpoint((pods[pod].ip,), node_name=pods[pod].node) for pod in chosen)
        found += [
            Service(
                ObjectMeta(name, "default"),
                (ServicePort(80, protocol=protocol),),
                cluster_ips=(cluster_ip(number),),
            ),
            EndpointSlice(meta, endpoints, (EndpointPort(_PORT, "", protocol),)),
        ]
    return found


def cluster_ip(number: int) -> str:
    """Of a service, outside of the range that addresses are drawn from first."""
    return f"10.96.250.{number + 1}"


def run(soak: Soak, name: str) -> Result:
    """Bring a lab up, change its endpoints under load, judge it, take it down."""
    with Lab.up(topology(name, soak), ephemeral=True, timeout_s=300) as lab:
        pods = {
            pod["name"]: Offer(pod["ip"], pod["node"])
            for pod in lab.inspect()["pods"]
            if pod["name"].startswith("web-")
        }
        choice: Choice = tuple(tuple(pods) for _ in range(SERVICES))
        Lab.up(topology(name, soak, services(choice, pods)), timeout_s=300)
        began_ns = lab.now_ns()
        lab.start_recording()
        loads = [lab.start_load(spec) for spec in _loads(soak.seed)]
        for load in loads:
            lab.wait_event(partial(_begins, load.spec), 60)
        states = list(rounds(tuple(pods), soak.changes, soak.seed))
        for state, _ in states:
            last = topology(name, soak, services(state, pods))
            Lab.up(last, timeout_s=300)
        for load in loads:
            load.stop()
        samples = [(load.spec.target.protocol, load.wait().samples) for load in loads]
        recording = lab.stop_recording()
        if recording.lost:
            raise SystemExit(f"{recording.lost} conntrack events were lost: nothing can be said")
        gone = withdrawals(lab.events(began_ns), NODES)
        made = connections(samples, recording, _services_by_target(), pods)
        strays, after = stray_connections(made, gone)
        differing = [node for node in NODES if _differs(lab, last, node)]
        return Result(soak, states[-1][1], len(states), len(made), after, strays, differing)


def _loads(seed: int) -> Iterator[LoadSpec]:
    """TCP from every node to a service of its own, UDP from the first."""
    urls = [f"tcp://{cluster_ip(number)}:80" for number in range(len(NODES))]
    urls.append(f"udp://{cluster_ip(SERVICES - 1)}:80")
    for number, url in enumerate(urls):
        yield LoadSpec(
            source=f"dial-{NODES[number % len(NODES)]}-0",
            url=url,
            rate_rps=RATE_RPS,
            duration_s=_EVER_S,
            timeout_s=2.0,
            seed=seed + number,
        )


def _begins(spec: LoadSpec, event: Event) -> bool:
    return (
        event.source == "load" and event.kind == "start" and event.detail["spec"] == spec.to_json()
    )


def _services_by_target() -> dict[str, str]:
    return {f"{cluster_ip(number)}:80": f"default/svc-{number}" for number in range(SERVICES)}


def _differs(lab: Lab, last: Topology, node: str) -> bool:
    """Whether a node's kernel holds anything else than a fresh plan says."""
    spelled = backend(last)
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in expand_allocated(last) if not isinstance(item, Pod))
    network = last.network
    config = ProxyConfig(str(network.pod_cidrs[0]), service_cidr=str(network.service_cidrs[0]))
    want = spelled.plan(forwarding_table(store.snapshot(), config, node))
    have = spelled.parse(lab.rules(node)).own
    return bool(spelled.commands(have, want))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it in the modes that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--mode", action="append", required=True, metavar="MODE")
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", choices=("host", "uml", "auto"), default="auto")
    options = parser.parse_args(arguments)
    right = True
    for mode in options.mode:
        soak = Soak(mode, options.changes, options.seed, options.kernel)
        result = run(soak, f"soak-{os.getpid()}")
        print(result, *result.strays[:10], sep="\n  ", flush=True)
        right = right and result.right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
