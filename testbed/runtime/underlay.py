"""Makes a `Fabric` real: a namespace per machine, a switch, links, addresses, routes. Only differences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from testbed.fabric.plan import (
    BRIDGE,
    END_SYSCTLS,
    NODE_SYSCTLS,
    SWITCH_SYSCTLS,
    UPLINK,
    UPLINK_INDEX,
    Fabric,
    Machine,
    Route,
)
from testbed.kernel import netlink, netns, sysctl

_BRIDGE_INDEX = 2
_FIRST_PORT_INDEX = 10
NO_IPV6 = (("ipv6/conf/all/disable_ipv6", "1"),)
"""Link-local addresses and their duplicate detection cost a pod 2 s and are never used here. The kernel sets
`default` along with `all`: links to come are meant, too."""


@dataclass(slots=True)
class _Wired:
    machine: Machine
    namespace: int
    port_index: int


class Underlay:
    """The machines of one lab. All methods run in the thread that owns the lab's namespaces."""

    def __init__(self, mtu: int, gateway: IPv4Interface) -> None:
        self._mtu = mtu
        self._switch = netns.create()
        with netns.entered(self._switch):
            sysctl.write((*NO_IPV6, *SWITCH_SYSCTLS))
            self._netlink = netlink.Netlink()
        self._netlink.send(
            [
                netlink.link_up(1),
                netlink.bridge(BRIDGE, mtu, _BRIDGE_INDEX),
                netlink.address(gateway, _BRIDGE_INDEX),
            ]
        )
        self._wired: dict[str, _Wired] = {}
        self._next_port = _FIRST_PORT_INDEX

    def namespace(self, name: str) -> int:
        """File descriptor of a machine's namespace."""
        return self._wired[name].namespace

    def apply(self, want: Fabric) -> None:
        """Add, remove and re-route machines until the fabric is as wanted."""
        machines = {machine.name: machine for machine in want.machines}
        for name in [name for name in self._wired if name not in machines]:
            self._remove(name)
        for machine in want.machines:
            have = self._wired.get(machine.name)
            if have is None:
                self._add(machine)
            elif have.machine != machine:
                self._reroute(have, machine)

    def _add(self, machine: Machine) -> None:
        namespace = netns.create()
        index = self._next_port
        self._next_port += 1
        sysctls = NODE_SYSCTLS if machine.kind == "node" else ()
        with netns.entered(namespace):
            sysctl.write((*NO_IPV6, *END_SYSCTLS, *sysctls))
        self._netlink.send(
            [
                netlink.veth(
                    netlink.End(machine.port, "02:02" + machine.mac[5:], self._mtu, index),
                    netlink.End(UPLINK, machine.mac, self._mtu, UPLINK_INDEX, namespace),
                    master=_BRIDGE_INDEX,
                )
            ]
        )
        with netns.entered(namespace), netlink.Netlink() as link:
            link.send(
                [
                    netlink.link_up(1),
                    netlink.link_up(UPLINK_INDEX),
                    netlink.address(machine.address, UPLINK_INDEX),
                    *(_message(route) for route in machine.routes),
                    # As Calico does: packets for a pod that is gone end here, they do not leave
                    # by the default route.
                    *([netlink.blackhole(machine.pod_cidr)] if machine.pod_cidr else ()),
                ]
            )
        self._wired[machine.name] = _Wired(machine, namespace, index)

    def _reroute(self, have: _Wired, want: Machine) -> None:
        old, new = set(have.machine.routes), set(want.routes)
        with netns.entered(have.namespace), netlink.Netlink() as link:
            gone = sorted(old - new, key=_order)
            link.send([_message(route, delete=True) for route in gone], missing_ok=True)
            link.send([_message(route) for route in sorted(new - old, key=_order)])
        have.machine = want

    def _remove(self, name: str) -> None:
        wired = self._wired.pop(name)
        self._netlink.send([netlink.delete_link(wired.port_index)], missing_ok=True)
        os.close(wired.namespace)


def _order(route: Route) -> IPv4Network:
    return route.destination


def _message(route: Route, *, delete: bool = False) -> netlink.Message:
    return netlink.route(route.destination, UPLINK_INDEX, via=route.via.packed, delete=delete)
