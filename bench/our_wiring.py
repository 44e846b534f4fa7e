"""Our own wiring, from topology to pods that have a network; the raw loop's counterpart.

`python -m bench.our_wiring NODES PODS` builds them in the namespaces that it finds itself in, and
prints the seconds, planning included.
"""

from __future__ import annotations

import asyncio
import sys
import time
from ipaddress import ip_address, ip_network

from testbed.fabric.plan import plan
from testbed.model.addressing import plan_addresses
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.topology import Topology
from testbed.podnet.addresses import OwnAddresses
from testbed.podnet.network import Member, Site
from testbed.podnet.networks import network_of
from testbed.podnet.ways import Routed
from testbed.runtime.interface import Executed
from testbed.runtime.netns import NetnsRuntime, Place, Started
from testbed.runtime.node_network import NodeWiring
from testbed.runtime.underlay import NetnsUnderlay
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
    addresses = plan_addresses(topology)
    fabric = plan(topology)
    underlay = NetnsUnderlay()
    underlay.apply(fabric)
    pod_network = network_of(topology)
    members = [
        Member(name, tuple(map(ip_address, node.ips)), tuple(map(ip_network, node.pod_cidrs)))
        for name, node in addresses.nodes.items()
    ]
    runtimes = []
    for node in fabric.machines:
        if node.kind != "node":
            continue
        namespace = underlay.namespace(node.name)
        network = pod_network.plan(Site(node.name, node.all_addresses, node.mtu), members)
        NodeWiring(node.name, namespace).apply(network)
        links = VethLinks(namespace, network.pod_mtu, OwnAddresses(network.pod_cidrs), Routed())
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
