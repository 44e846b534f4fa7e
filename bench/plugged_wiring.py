"""Wiring by CNI plug-ins, from topology to pods that have a network.

`python -m bench.plugged_wiring PODS PLUGIN` does so on one node in the namespaces that it finds itself in, and
prints the seconds, planning included.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.our_wiring import NoPrograms
from testbed.fabric.plan import plan
from testbed.lab.pod_links import Host, plugin_links
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.topology import Topology
from testbed.podnet.network import NodeNetwork
from testbed.runtime.netns import NetnsRuntime
from testbed.runtime.underlay import NetnsUnderlay

_IPAM = {"ptp": "host-local", "testbed-routed": "testbed-local"}


def topology(plugin: str) -> Topology:
    ipam = {"type": _IPAM[plugin], "subnet": "{{.PodCIDR}}", "routes": [{"dst": "0.0.0.0/0"}]}
    conflist = {
        "cniVersion": "1.0.0",
        "name": "bench",
        "plugins": [{"type": plugin, "ipam": ipam}],
    }
    network = {"cni": {"conflist": conflist}}
    return Topology.model_validate({"name": "bench", "network": network, "nodes": {"n0": {}}})


async def build(wanted: Topology, pods: int, folder: Path) -> NetnsRuntime:
    """Wire the machines and the pods; returns what holds the namespaces."""
    fabric = plan(wanted)
    underlay = NetnsUnderlay()
    underlay.apply(fabric)
    node = fabric.machine("n0")
    namespace = underlay.namespace(node.name)
    links = plugin_links(wanted, Host(folder, lambda node: {}), lambda event: None)
    network = NodeNetwork(node.mtu, wanted.network.pod_cidrs)
    runtime = NetnsRuntime(
        node.name, namespace, links(node.name, namespace, network), NoPrograms(), ipv6=False
    )
    for number in range(pods):
        meta = ObjectMeta(f"pod-{number}", "default", uid=f"pod-{number}")
        await runtime.create_sandbox(Pod(meta, PodSpec(())))
    return runtime


def main() -> None:
    pods, plugin = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        start = time.monotonic()
        runtime = asyncio.run(build(topology(plugin), pods, Path(folder)))
        print(time.monotonic() - start)
        assert len(runtime.pods()) == pods  # the namespaces live until here


if __name__ == "__main__":
    main()
