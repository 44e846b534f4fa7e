"""Makes a `Fabric` real: a namespace per machine, a switch, links, addresses, routes. Only differences."""

from __future__ import annotations

import os
from dataclasses import dataclass

from testbed.fabric.plan import (
    BRIDGE,
    END_SYSCTLS,
    IPV6,
    NO_IPV6,
    NODE_SYSCTLS,
    NODE_SYSCTLS_IPV6,
    SWITCH_SYSCTLS,
    UPLINK,
    UPLINK_INDEX,
    Fabric,
    Machine,
    Route,
    link_local,
)
from testbed.ip import IPInterface
from testbed.kernel import netlink, netns, sysctl

_BRIDGE_INDEX = UPLINK_INDEX
_FIRST_PORT_INDEX = 100


@dataclass(slots=True)
class _Wired:
    machine: Machine
    namespace: int
    port_index: int


class Underlay:
    """The machines of one lab. All methods run in the thread that owns the lab's namespaces."""

    def __init__(self, mtu: int, gateways: tuple[IPInterface, ...]) -> None:
        self._mtu = mtu
        self.ipv6 = IPV6 if any(gateway.version == 6 for gateway in gateways) else NO_IPV6
        """Settings of every namespace in this lab."""
        self._switch = netns.create()
        with netns.entered(self._switch):
            sysctl.write((*self.ipv6, *SWITCH_SYSCTLS))
            self._netlink = netlink.Netlink()
        self._netlink.send(
            [
                netlink.link_up(1),
                netlink.bridge(BRIDGE, mtu, _BRIDGE_INDEX),
                *(netlink.address(gateway, _BRIDGE_INDEX) for gateway in gateways),
            ]
        )
        self._wired: dict[str, _Wired] = {}
        self._next_port = _FIRST_PORT_INDEX

    @property
    def switch(self) -> int:
        """File descriptor of the switch's namespace, whose addresses every machine reaches, and every pod."""
        return self._switch

    def namespace(self, name: str) -> int:
        """File descriptor of a machine's namespace."""
        return self._wired[name].namespace

    def unplug(self, name: str) -> None:
        """Take a machine's link down at the switch: from now on no packet comes or goes."""
        self._netlink.send([netlink.link_down(self._wired[name].port_index)])

    def renew(self, name: str) -> None:
        """A new namespace for a machine, with a new link: nothing of the old one is left."""
        machine = self._wired[name].machine
        self._remove(name)
        self._add(machine)

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
        sysctls = _sysctls(machine)
        with netns.entered(namespace):
            sysctl.write((*self.ipv6, *END_SYSCTLS, *sysctls))
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
                    *(netlink.address(address, UPLINK_INDEX) for address in _own(machine)),
                    *(_message(route) for route in machine.routes),
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


def _sysctls(machine: Machine) -> tuple[tuple[str, str], ...]:
    """What its part in the cluster asks for, beside what all namespaces have."""
    if machine.kind != "node":
        return ()
    return (*NODE_SYSCTLS, *(NODE_SYSCTLS_IPV6 if _has_ipv6(machine) else ()))


def _own(machine: Machine) -> tuple[IPInterface, ...]:
    """All addresses of its uplink."""
    if not _has_ipv6(machine):
        return machine.addresses
    return (*machine.addresses, link_local(machine.mac))


def _has_ipv6(machine: Machine) -> bool:
    return any(address.version == 6 for address in machine.addresses)


def _order(route: Route) -> tuple[int, bytes, int]:
    destination = route.destination
    return destination.version, destination.network_address.packed, destination.prefixlen


def _message(route: Route, *, delete: bool = False) -> netlink.Message:
    return netlink.route(route.destination, UPLINK_INDEX, via=route.via.packed, delete=delete)
