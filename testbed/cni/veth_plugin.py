"""What our two interface plug-ins have in common: a veth pair whose addresses another plug-in gives out."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_interface

from testbed.cni.plugin import Call, Refusal, Result, Verb, delegate, run
from testbed.cni.protocol import ADD, BAD_CONFIG, CHECK, DEL, GC, STATUS, Json
from testbed.ip import IPAddress, IPInterface
from testbed.kernel import link_state, links, netlink, netns, sysctl
from testbed.podnet.link import PodLink, pod_mac
from testbed.podnet.ways import Way

_PREFIX = "tb"
_FORWARDING = (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"))
_IPV6_IN_POD = (("ipv6/conf/all/disable_ipv6", "0"),)
_WRONG_LINK = 101


@dataclass(frozen=True, slots=True)
class Given:
    """What the plug-in that gives out addresses gave."""

    answer: Json
    ips: tuple[IPInterface, ...]

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        return tuple(one.ip for one in self.ips)

    def gateway(self, index: int) -> str:
        return str(self.answer["ips"][index].get("gateway", ""))


Prepare = Callable[[Call, Given, int], Way]
"""Of (call, addresses, MTU): makes on the node what pods share there. Raises Refusal."""
Describe = Callable[[Call, Given, PodLink], Result]


def serve(add_own: Verb) -> None:
    """Be a plug-in that differs from the others in what it does for ADD."""
    run({ADD: add_own, DEL: delete, CHECK: check, GC: collect, STATUS: status})


def add(call: Call, prepare: Prepare, describe: Describe) -> Json:
    """ADD. Raises Refusal, when nothing is left of it."""
    if call.config.get("prevResult"):
        raise Refusal(BAD_CONFIG, "it makes an interface: it is the first of its list")
    mtu = call.config.get("mtu") or 1500
    if not isinstance(mtu, int) or not 68 <= mtu <= 65535:
        raise Refusal(BAD_CONFIG, f"mtu: {mtu!r} is none")
    answer = delegate(call, ADD)
    try:
        given = Given(answer, tuple(ip_interface(one["address"]) for one in answer["ips"]))
        if not given.ips:
            raise Refusal(BAD_CONFIG, "ipam gave no address")
        sysctl.write(_FORWARDING)
        link = _wire(call, given, mtu, prepare(call, given, mtu))
        return describe(call, given, link).told(call.version)
    except BaseException:
        with suppress(Refusal, OSError):
            delete(call)
        raise


def _wire(call: Call, given: Given, mtu: int, way: Way) -> PodLink:
    """The pair, its addresses and routes. In the pod its kernel numbers it, and on the node, too."""
    name = node_interface(call.network, call.container, call.interface)
    mac = call.asked("mac") or pod_mac(given.addresses[0])
    link = PodLink(given.addresses, mac, name, 0, mtu, 0)
    here = netns.current()
    try:
        with netns.entered(call.netns), netlink.Netlink() as pod_side:
            sysctl.write(_IPV6_IN_POD)
            near = links.End(call.interface, mac, mtu)
            far = links.End(name, way.node_mac(link), mtu, 0, here)
            pod_side.send([links.veth(near, far), links.link_up(1)])
            pod_index = socket.if_nametoindex(call.interface)
            link = PodLink(given.addresses, mac, name, _index_in(here, name), mtu, pod_index)
            pod_side.send([*(way.address(one, link) for one in link.addresses), *way.leave(link)])
    finally:
        os.close(here)
    with netlink.Netlink() as node_side:
        towards = (step for one in link.addresses for step in way.towards(one, link))
        node_side.send([*way.join(link), *towards])
    return link


def _index_in(namespace: int, name: str) -> int:
    with netns.entered(namespace):
        return socket.if_nametoindex(name)


def delete(call: Call) -> Json:
    """DEL: what is gone already is no error."""
    _delete_link(node_interface(call.network, call.container, call.interface))
    delegate(call, DEL)
    return {}


def check(call: Call) -> Json:
    """CHECK. Raises Refusal."""
    before = call.result_before
    delegate(call, CHECK)
    name = node_interface(call.network, call.container, call.interface)
    own = [
        ip_interface(one["address"]).ip
        for one in before.get("ips", ())
        if one.get("interface") is None
        or before["interfaces"][one["interface"]].get("name") == call.interface
    ]
    here = netns.current()
    try:
        trouble = link_state.trouble(here, name) or link_state.trouble(
            call.netns, call.interface, own
        )
    finally:
        os.close(here)
    if trouble:
        raise Refusal(_WRONG_LINK, trouble)
    return {}


def collect(call: Call) -> Json:
    """GC: our links of this network that no valid attachment has go."""
    kept = {node_interface(call.network, *attachment) for attachment in call.valid}
    prefix = _of_network(call.network)
    for _, name in socket.if_nameindex():
        if name.startswith(prefix) and name not in kept:
            _delete_link(name)
    delegate(call, GC)
    return {}


def status(call: Call) -> Json:
    """STATUS: there is room where there are addresses."""
    delegate(call, STATUS)
    return {}


def _delete_link(name: str) -> None:
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return
    with netlink.Netlink() as link:
        link.send([links.delete_link(index)], missing_ok=True)


def node_interface(network: str, container: str, interface: str) -> str:
    """The node's end: a function of what it is for, so that DEL and GC find it without a memory."""
    return _of_network(network) + _digest(f"{container}/{interface}", 9)


def _of_network(network: str) -> str:
    return _PREFIX + _digest(network, 4)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
