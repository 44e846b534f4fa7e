"""`python -m bench.soak --mode MODE [--changes N]`: endpoints come and go under load, in a mode of the proxy.

Then two questions. Do the kernel's rules equal a fresh plan, made from the last objects alone? Did a connection
that began after a node had programmed a withdrawal still get the withdrawn backend there? (Session affinity
aside: none of these services has it.) Exit code 1 where the answer to either is the wrong one.

Where IPVS still knows a client's port, as after a reset (`--close rst`) for 10 s, it goes on with the same
backend and chooses nobody. Where its own counts prove that (see `ipvs_choices`), it is told apart.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from bench import ipvs_choices
from bench.ipvs_choices import Look
from bench.soak_verdict import Connection, Offer, connections, stray_connections, withdrawals
from testbed.events import Event
from testbed.experiment.modes import with_mode
from testbed.lab.backends import backend
from testbed.lab.client import Lab
from testbed.model.manifest import to_manifest
from testbed.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Object,
    ObjectMeta,
    Pod,
    Service,
    ServicePort,
)
from testbed.model.shorthand import expand_allocated
from testbed.model.topology import Topology
from testbed.proxy.table import ProxyConfig, forwarding_table
from testbed.store import Create, Store
from testbed.traffic.spec import CLOSE, LoadSpec

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
    close: str = "fin"
    """How the loads end their connections."""


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
    strays: Sequence[Connection]
    carried_on: Sequence[Connection]
    """Beside these: to a withdrawn backend, too, and proven to be no choice of IPVS."""
    differing_nodes: Sequence[str]

    def __str__(self) -> str:
        return (
            f"{self.soak.mode}: {self.changes} endpoint changes in {self.rounds} rounds,"
            f" {len(self.differing_nodes)} of {len(NODES)} nodes differ from a fresh plan,"
            f" {len(self.strays)} of {self.connections} connections ({self.after_withdrawal} of them"
            " to a service with a withdrawn backend) reached a withdrawn backend"
            + (f", {len(self.carried_on)} more by a port that IPVS knew" if self.carried_on else "")
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
        states = list(rounds(tuple(pods), soak.changes, soak.seed))
        with _choices(lab, soak.mode) as looks:
            lab.start_recording()
            loads = [lab.start_load(spec) for spec in _loads(soak)]
            for load in loads:
                lab.wait_event(partial(_begins, load.spec), 60)
            for state, _ in states:
                last = topology(name, soak, services(state, pods))
                Lab.up(last, timeout_s=300)
            for load in loads:
                load.stop()
            samples = [load.wait().samples for load in loads]
            recording = lab.stop_recording()
        if recording.lost:
            raise SystemExit(f"{recording.lost} conntrack events were lost: nothing can be said")
        gone = withdrawals(lab.events(began_ns), NODES)
        made = connections(samples, recording, _services_by_target())
        strays, after = stray_connections(made, gone)
        carried_on = [one for one in strays if _is_no_choice(one, looks)]
        strays = [one for one in strays if one not in carried_on]
        differing = [node for node in NODES if _differs(lab, last, node)]
        counts = states[-1][1], len(states), len(made), after
        return Result(soak, *counts, strays, carried_on, differing)


@contextmanager
def _choices(lab: Lab, mode: str) -> Iterator[dict[str, list[Look]]]:
    """Looks at what IPVS chooses on each node, in that mode; they are there when this ends."""
    found: dict[str, list[Look]] = {}
    with ExitStack() as stack:
        for node in NODES if mode.startswith("ipvs") else ():
            stack.enter_context(_looking(lab.name, node, found))
        yield found


@contextmanager
def _looking(lab: str, node: str, found: dict[str, list[Look]]) -> Iterator[None]:
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()

    def look() -> None:
        argv = [sys.executable, ipvs_choices.__file__]
        try:
            Lab.attach(lab).execute(node, argv, (in_read, out_write, 2), dict(os.environ))
        finally:
            os.close(in_read)
            os.close(out_write)

    def collect() -> None:
        with os.fdopen(out_read) as lines:
            found[node] = ipvs_choices.read(lines)

    threads = [threading.Thread(target=look), threading.Thread(target=collect)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        os.close(in_write)
        for thread in threads:
            thread.join()


def _is_no_choice(one: Connection, looks: Mapping[str, list[Look]]) -> bool:
    """Whether IPVS is proven to have gone on with what it knew of the client's port."""
    server = next(target for target, name in _services_by_target().items() if name == one.service)
    key = f"{server} {one.backend_ip}:{_PORT}"
    return ipvs_choices.stood_still(looks.get(one.node, []), key, one.start_ns, one.picked_ns)


def _loads(soak: Soak) -> Iterator[LoadSpec]:
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
            seed=soak.seed + number,
            close=soak.close,
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
    parser.add_argument("--close", choices=CLOSE, default="fin", help="how connections end (fin)")
    options = parser.parse_args(arguments)
    right = True
    for mode in options.mode:
        soak = Soak(mode, options.changes, options.seed, options.kernel, options.close)
        result = run(soak, f"soak-{os.getpid()}")
        carried_on = [f"carried on: {one}" for one in result.carried_on]
        print(result, *result.strays[:10], *carried_on[:10], sep="\n  ", flush=True)
        right = right and result.right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
