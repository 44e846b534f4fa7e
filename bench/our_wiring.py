"""Our own wiring, from topology to pods that have a network; the raw loop's counterpart.

`python -m bench.our_wiring NODES PODS` builds them in the namespaces that it finds itself in, and
prints the seconds, planning included.
"""

from __future__ import annotations

import asyncio
import sys
import time

from testbed.fabric.plan import plan
from testbed.model.addressing import plan_addresses
from testbed.model.objects import ObjectMeta, Pod, PodSpec
from testbed.model.topology import Topology
from testbed.podnet.addresses import OwnAddresses
from testbed.runtime.interface import Executed
from testbed.runtime.netns import NetnsRuntime, Place, Started
from testbed.runtime.pod_ways import Routed
from testbed.runtime.underlay import Underlay
from testbed.runtime.veth_links import VethLinks


class NoPrograms:
    """Wiring starts no containers."""

    async def start(self, place: Place) -> Started:
        raise NotImplementedError

    async def execute(
        self, place: Place, started: Started | None, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        raise NotImplementedError

    def forget(self, pod_uid: str) -> None:
        raise NotImplementedError


async def build(topology: Topology, pods_per_node: int) -> list[NetnsRuntime]:
    """Wire the machines and their pods; returns what holds the namespaces."""
    fabric = plan(plan_addresses(topology), topology.network.mtu)
    underlay = Underlay(fabric.mtu, fabric.gateways)
    underlay.apply(fabric)
    runtimes = []
    for node in fabric.machines:
        namespace = underlay.namespace(node.name)
        links = VethLinks(namespace, fabric.mtu, OwnAddresses(node.pod_cidrs), Routed())
        runtime = NetnsRuntime(node.name, namespace, links, NoPrograms(), ipv6=False)
        runtimes.append(runtime)
        for number in range(pods_per_node):
            name = f"pod-{number}"
            meta = ObjectMeta(name, "default", uid=f"{node.name}/{name}")
            await runtime.create_sandbox(Pod(meta, PodSpec(())))
    return runtimes


def main() -> None:
    nodes, pods_per_node = map(int, sys.argv[1:])
    names: dict[str, object] = {f"n{number}": {} for number in range(nodes)}
    start = time.monotonic()
    topology = Topology.model_validate({"name": "bench", "nodes": names})
    runtimes = asyncio.run(build(topology, pods_per_node))
    print(time.monotonic() - start)
    assert len(runtimes) == nodes  # the namespaces live until here


if __name__ == "__main__":
    main()
