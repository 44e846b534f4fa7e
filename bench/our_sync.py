"""One full rule sync and changed endpoints, through store and proxy loop; and the raw load of the same text.

A full sync is what kube-proxy's `sync_full_proxy_rules_duration_seconds` counts: a proxy starts on a node of a
cluster that is there, and all its rules come into force. A change is timed from its write to the store.

`python -m bench.our_sync MODE SERVICES` runs in the namespaces that it finds itself in and prints medians of
seconds as JSON. The raw side has a namespace of its own, where the same commands are run without us: the full
text into nothing, then each change.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from testbed import clock
from testbed.command import Command
from testbed.events import Event
from testbed.kernel import netns, sysctl
from testbed.kernel.links import link_up
from testbed.kernel.netlink import Netlink
from testbed.kernel.run import Shell
from testbed.lab.planner import GC_THRESHOLDS, Planner
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service, ServicePort
from testbed.proxy.access import NodeAccess
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.pace import Periods
from testbed.proxy.ruleset import Backend
from testbed.proxy.table import ProxyConfig
from testbed.store import Create, Store, Update

BACKENDS: dict[str, Backend] = {
    "iptables-nft": IptablesBackend("nft"),
    "iptables-legacy": IptablesBackend("legacy"),
    "nftables": NftablesBackend(),
    "ipvs": IpvsBackend("rr", "legacy"),
}
_NODES, _ENDPOINTS = 50, 3
_CHANGES = 9
_NODE = "n0"


def endpoint(number: int) -> Endpoint:
    """The pod of that number; they fill one node's range after the other."""
    node = number % _NODES
    address = f"10.{244 + number // 62_500}.{number // 250 % 250}.{number % 250 + 2}"
    return Endpoint((address,), node_name=f"n{node}")


def cluster(services: int, endpoints: int = _ENDPOINTS) -> Iterator[Object]:
    """The nodes, and services of one port with as many endpoints each."""
    for number in range(_NODES):
        yield Node(
            ObjectMeta(f"n{number}"),
            internal_ips=(f"172.18.0.{number + 2}",),
            pod_cidrs=(f"10.244.{number}.0/24",),
            ready=True,
        )
    for number in range(services):
        name = f"svc-{number}"
        yield Service(
            ObjectMeta(name, "default"),
            ports=(ServicePort(80, target_port=8080),),
            cluster_ips=(f"10.96.{number // 250}.{number % 250 + 1}",),
        )
        first = number * endpoints
        yield EndpointSlice(
            ObjectMeta(f"{name}-a", "default", labels={SERVICE_NAME_LABEL: name}),
            tuple(endpoint(first + offset) for offset in range(endpoints)),
            (EndpointPort(8080),),
        )


@dataclass(frozen=True, slots=True)
class Synced:
    """Seconds until the rules were in force, and the commands that brought it about."""

    taken_s: float
    commands: tuple[Command, ...]


async def sync(backend: Backend, services: int) -> list[Synced]:
    """All services, then one endpoint after the other."""
    store = Store(clock.now_s)
    shell = Shell(_node(backend), {"XTABLES_LOCKFILE": "/run/ours.lock"})
    ran: list[Command] = []

    async def run(commands: Sequence[Command]) -> None:
        ran.extend(commands)
        await shell.run_all(commands)

    config = ProxyConfig("10.244.0.0/16")
    loop = ProxyLoop(
        store,
        _NODE,
        backend,
        NodeAccess(run, shell.output, shell.executor),
        _no_record,
        config=config,
        periods=Periods(min_sync_period_s=0.0),  # its wait is no work
        plan=Planner(backend, config).plan,
    )
    synced: list[Synced] = []

    async def timed(begin: Callable[[], object]) -> None:
        ran.clear()
        start = time.monotonic()
        begin()
        await loop.synced(store.resource_version)
        synced.append(Synced(time.monotonic() - start, tuple(ran)))

    store.apply([Create(item) for item in cluster(services)])
    await timed(loop.start)
    for change in range(_CHANGES):
        changed = store.get(EndpointSlice, "default", f"svc-{services // 2 + change}-a")
        endpoints = (*changed.endpoints[:-1], endpoint(services * _ENDPOINTS + change))
        update = Update(EndpointSlice(changed.meta, endpoints, changed.ports))
        await timed(partial(store.apply, [update]))
    await loop.stop()
    shell.close()
    return synced


def _node(backend: Backend) -> int:
    """A namespace such as a node's proxy finds it: IPVS takes no destination where there is no route table."""
    namespace = netns.create()
    with netns.entered(namespace):
        sysctl.write(
            (name.removeprefix("net.").replace(".", "/"), value)
            for name, value in backend.sysctls.items()
        )
        with Netlink() as netlink:
            netlink.send([link_up(1)])
    return namespace


def _no_record(event: Event) -> None:
    return


async def restored(backend: Backend, synced: Sequence[Synced]) -> list[float]:
    """Seconds that the tools take for the same commands, in a namespace of their own."""
    shell = Shell(_node(backend), {"XTABLES_LOCKFILE": "/run/raw.lock"})
    taken_s: list[float] = []
    for one in synced:
        start = time.monotonic()
        await shell.run_all(one.commands)
        taken_s.append(time.monotonic() - start)
    shell.close()
    return taken_s


async def measure(mode: str, services: int) -> dict[str, float]:
    """All four; ours goes first and pays for whatever is cold."""
    synced = await sync(BACKENDS[mode], services)
    if mode.startswith("iptables"):  # else it would be the differences' cost that is compared
        assert not any("--noflush" in command.argv for command in synced[0].commands)
    raw_s = await restored(BACKENDS[mode], synced)
    return {
        "full_s": synced[0].taken_s,
        "raw_full_s": raw_s[0],
        "one_s": statistics.median(one.taken_s for one in synced[1:]),
        "raw_one_s": statistics.median(raw_s[1:]),
    }


def main() -> None:
    mode, services = sys.argv[1:]
    gc.set_threshold(*GC_THRESHOLDS)  # as in a lab
    print(json.dumps(asyncio.run(measure(mode, int(services)))))


if __name__ == "__main__":
    main()
