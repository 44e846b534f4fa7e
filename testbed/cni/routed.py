"""`testbed-routed`: the testbed's routed pod link as a CNI plug-in (docs/cni.md).

{"type": "testbed-routed", "mtu": 1450, "capabilities": {"mac": true}, "ipam": {"type": "host-local", …}}
"""

from __future__ import annotations

from testbed.cni import veth_plugin
from testbed.cni.plugin import Call, Result
from testbed.cni.protocol import Json
from testbed.cni.veth_plugin import Given
from testbed.ip import ANYWHERE
from testbed.podnet.link import GATEWAY, NODE_MAC, PodLink
from testbed.podnet.ways import Routed


def _add(call: Call) -> Json:
    return veth_plugin.add(call, lambda call, given, mtu: Routed(), _result)


def _result(call: Call, given: Given, link: PodLink) -> Result:
    gateways = {one.version: str(GATEWAY[one.version]) for one in link.addresses}
    return Result(
        interfaces=(
            {"name": link.node_interface, "mac": NODE_MAC, "mtu": link.mtu},
            {"name": call.interface, "mac": link.mac, "mtu": link.mtu, "sandbox": call.netns},
        ),
        ips=tuple(
            {
                "address": f"{one}/{one.max_prefixlen}",
                "gateway": gateways[one.version],
                "interface": 1,
            }
            for one in link.addresses
        ),
        routes=tuple(
            {"dst": str(ANYWHERE[family]), "gw": gateway} for family, gateway in gateways.items()
        ),
        dns=call.config.get("dns") or given.answer.get("dns") or {},
    )


def main() -> None:
    veth_plugin.serve(_add)
