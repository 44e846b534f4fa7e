"""`testbed-bridged`: the testbed's bridged pod link as a CNI plug-in (docs/cni.md).

    {"type": "testbed-bridged", "bridge": "cni0", "isGateway": true, "ipam": {"type": "testbed-local", …}}

Its keys are those of the plug-in bridge, as far as they go.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_interface, ip_network

from testbed.cni import veth_plugin
from testbed.cni.plugin import Call, Refusal, Result
from testbed.cni.protocol import BAD_CONFIG, UNSUPPORTED_FIELD, Json
from testbed.cni.veth_plugin import Given
from testbed.ip import ANYWHERE, IPInterface, IPNetwork
from testbed.kernel import addresses, links, netlink
from testbed.podnet.link import PodLink
from testbed.podnet.ways import Bridged

_DEFAULT_NAME = "cni0"
_UNSUPPORTED = ("ipMasq", "promiscMode", "vlan", "vlanTrunk", "macspoofchk", "forceAddress")
"""Keys of the plug-in bridge that are not taken here."""
_EEXIST = 17


def _add(call: Call) -> Json:
    for key in _UNSUPPORTED:
        if call.config.get(key):
            raise Refusal(UNSUPPORTED_FIELD, f"{key}: {call.config[key]} is not supported")
    return veth_plugin.add(call, _with_bridge, _result)


def _name(call: Call) -> str:
    return str(call.config.get("bridge") or _DEFAULT_NAME)


def _with_bridge(call: Call, given: Given, mtu: int) -> Bridged:
    """The bridge, which is there from now on, with the gateways' addresses where it is to be one."""
    name = _name(call)
    is_gateway = call.config.get("isGateway") or call.config.get("isDefaultGateway")
    gateways = tuple(_gateways(given))
    with netlink.Netlink() as link:
        try:
            link.send([links.bridge(name, mtu, 0)])
        except netlink.NetlinkError as error:
            if error.errno != _EEXIST:
                raise
        index = socket.if_nametoindex(name)
        for gateway in gateways if is_gateway else ():
            try:
                link.send([addresses.address(gateway, index)])
            except netlink.NetlinkError as error:
                if error.errno != _EEXIST:
                    raise
    return Bridged(index, gateways, _routes(call, given))


def _gateways(given: Given) -> Iterator[IPInterface]:
    """Of each address: the gateway that it came with, else the first of its network."""
    for index, own in enumerate(given.ips):
        written = given.gateway(index) or str(own.network[1])
        yield ip_interface(f"{ip_address(written)}/{own.network.prefixlen}")


def _routes(call: Call, given: Given) -> tuple[IPNetwork, ...]:
    """Where the pod's gateway leads, for it: what ipam says, and where it is told so everywhere."""
    families = {one.version for one in given.ips}
    found: dict[IPNetwork, None] = {}
    if call.config.get("isDefaultGateway"):
        found |= {ANYWHERE[family]: None for family in sorted(families)}
    for route in given.answer.get("routes") or ():
        with suppress(ValueError):
            found[ip_network(route["dst"], strict=False)] = None
        if route.get("gw"):
            raise Refusal(BAD_CONFIG, f"route {route}: pods have no gateway but the bridge's")
    return tuple(one for one in found if one.version in families)


def _result(call: Call, given: Given, link: PodLink) -> Result:
    gateways = {one.version: one.ip for one in _gateways(given)}
    return Result(
        interfaces=(
            {"name": _name(call), "mtu": link.mtu},
            {"name": link.node_interface, "mac": "02:03" + link.mac[5:], "mtu": link.mtu},
            {"name": call.interface, "mac": link.mac, "mtu": link.mtu, "sandbox": call.netns},
        ),
        ips=tuple(
            {"address": str(one), "gateway": str(gateways[one.version]), "interface": 2}
            for one in given.ips
        ),
        routes=tuple(
            {"dst": str(one), "gw": str(gateways[one.version])} for one in _routes(call, given)
        ),
        dns=call.config.get("dns") or given.answer.get("dns") or {},
    )


def main() -> None:
    veth_plugin.serve(_add)
