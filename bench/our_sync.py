"""One full rule sync and one changed endpoint, through store and proxy loop; and the raw restore.

`python -m bench.our_sync VARIANT SERVICES` runs in the namespaces that it finds itself in and prints the
seconds of the three as JSON. The raw restore loads the very text of the full sync into another empty
namespace, without --noflush.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Literal

from testbed import clock
from testbed.command import Command
from testbed.events import Event
from testbed.kernel import netns
from testbed.kernel.run import Shell
from testbed.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Node,
    Object,
    ObjectMeta,
    Service,
    ServicePort,
)
from testbed.proxy.access import NodeAccess
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.proxy.table import ProxyConfig
from testbed.store import Create, Store, Update

Variant = Literal["nft", "legacy"]
_NODES, _ENDPOINTS = 10, 3
_NODE = "n0"


def endpoint(number: int) -> Endpoint:
    """The pod of that number; they fill one node's range after the other."""
    node = number % _NODES
    address = f"10.{244 + number // 200_000}.{number // 250 % 250}.{number % 250 + 2}"
    return Endpoint((address,), node_name=f"n{node}")


def cluster(services: int) -> Iterator[Object]:
    """A node, and services of one port with three endpoints each."""
    yield Node(
        ObjectMeta(_NODE), internal_ips=("172.18.0.2",), pod_cidrs=("10.244.0.0/24",), ready=True
    )
    for number in range(services):
        name = f"svc-{number}"
        yield Service(
            ObjectMeta(name, "default"),
            ports=(ServicePort(80, target_port=8080),),
            cluster_ips=(f"10.96.{number // 250}.{number % 250 + 1}",),
        )
        first = number * _ENDPOINTS
        yield EndpointSlice(
            ObjectMeta(f"{name}-a", "default", labels={SERVICE_NAME_LABEL: name}),
            tuple(endpoint(first + offset) for offset in range(_ENDPOINTS)),
            (EndpointPort(8080),),
        )


async def sync(backend: IptablesBackend, services: int) -> tuple[float, float, Command]:
    """Seconds from store write to rules in force: all services at once, then one endpoint.

    The third is the command that carried the first.
    """
    store = Store(clock.now_s)
    shell = Shell(netns.create(), {"XTABLES_LOCKFILE": "/run/ours.lock"})
    ran: list[Command] = []

    async def run(commands: Sequence[Command]) -> None:
        ran.extend(commands)
        await shell.run_all(commands)

    loop = ProxyLoop(
        store,
        _NODE,
        backend,
        NodeAccess(run, shell.output, shell.executor),
        _no_record,
        config=ProxyConfig("10.244.0.0/16"),
        periods=Periods(min_sync_period_s=0.0),  # its wait is no work
    )
    writes = [Create(item) for item in cluster(services)]
    start = time.monotonic()
    store.apply(writes)
    loop.start()
    await loop.synced(store.resource_version)
    full_s = time.monotonic() - start
    (full,) = ran
    changed = store.get(EndpointSlice, "default", f"svc-{services // 2}-a")
    endpoints = (*changed.endpoints[:-1], endpoint(services * _ENDPOINTS))
    start = time.monotonic()
    store.apply([Update(EndpointSlice(changed.meta, endpoints, changed.ports))])
    await loop.synced(store.resource_version)
    one_s = time.monotonic() - start
    await loop.stop()
    shell.close()
    return full_s, one_s, full


def _no_record(event: Event) -> None:
    return


async def restore(command: Command) -> float:
    """Seconds that the tool takes for the same text, in an empty namespace."""
    shell = Shell(netns.create(), {"XTABLES_LOCKFILE": "/run/raw.lock"})
    start = time.monotonic()
    await shell.run_all([command])
    taken_s = time.monotonic() - start
    shell.close()
    return taken_s


async def measure(variant: Variant, services: int) -> dict[str, float]:
    """All three; ours goes first and pays for whatever is cold."""
    full_s, one_s, command = await sync(IptablesBackend(variant), services)
    assert "--noflush" not in command.argv
    return {"full_s": full_s, "one_s": one_s, "raw_s": await restore(command)}


def main() -> None:
    variants: dict[str, Variant] = {"nft": "nft", "legacy": "legacy"}
    variant, services = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(variants[variant], int(services)))))


if __name__ == "__main__":
    main()
