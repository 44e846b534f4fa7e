"""Makes a `NodeNetwork` real in a node's namespace: only what differs from what it made before."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from testbed.errors import MissingFeature
from testbed.fabric.machine import UPLINK_INDEX
from testbed.ip import IPInterface, IPNetwork
from testbed.kernel import addresses, links, neighbours, netlink, netns, static_routes, sysctl
from testbed.podnet.network import (
    EVERYBODY,
    Bridge,
    Device,
    Forward,
    Neighbour,
    NodeNetwork,
    Route,
    Vxlan,
)


@dataclass(frozen=True, slots=True)
class _Address:
    device: str
    address: IPInterface


_Part = Device | _Address | Route | IPNetwork | Neighbour | Forward
"""What the kernel holds, one by one. A network is one whose packets end here."""


class NodeWiring:
    """One node's. `namespace` is a file descriptor; what other code put there is left alone."""

    def __init__(self, name: str, namespace: int) -> None:
        self._name = name
        self._namespace = namespace
        self._parts: dict[Hashable, _Part] = {}
        self._devices: dict[str, Device] = {}
        self._sysctls: tuple[tuple[str, str], ...] = ()

    def apply(self, want: NodeNetwork, detours: frozenset[Route] = frozenset()) -> int:
        """Make it so, with further routes; returns how much was changed.

        Raises NetlinkError, MissingFeature.
        """
        parts = {_key(part): part for part in _parts(want, detours)}
        devices = {device.name: device for device in want.devices}
        stale = {name for name, device in self._devices.items() if devices.get(name) != device}
        have = {key: part for key, part in self._parts.items() if _device(part) not in stale}
        gone = [part for key, part in have.items() if key not in parts]
        new = [part for key, part in parts.items() if have.get(key) != part]
        if not (stale or gone or new) and self._sysctls == want.sysctls:
            return 0
        with netns.entered(self._namespace), netlink.Netlink() as link:
            ends = [links.delete_link(self._devices[name].index) for name in stale]
            link.send(ends, missing_ok=True)
            self._write_sysctls(want.sysctls)
            # What is new first: a destination that has another way now is never without one.
            link.send([_made(part, devices) for part in new])
            link.send([_gone(part, self._devices) for part in reversed(gone)], missing_ok=True)
        self._parts, self._devices, self._sysctls = parts, devices, want.sysctls
        return len(stale) + len(gone) + len(new)

    def rewired(self) -> None:
        """The node's cables are others: what hung on them went with them."""
        self._parts = {
            key: part
            for key, part in self._parts.items()
            if isinstance(part, IPv4Network | IPv6Network) or _device(part) in self._devices
        }

    def _write_sysctls(self, wanted: tuple[tuple[str, str], ...]) -> None:
        if refused := sysctl.write(wanted):
            raise MissingFeature(
                f"the kernel does not take {', '.join(refused)} on node {self._name}",
                "load the module that has it (br_netfilter for bridge/), or take kernel: uml",
            )


def _parts(want: NodeNetwork, detours: frozenset[Route]) -> Iterator[_Part]:
    """In an order in which they can be made."""
    yield from want.devices
    for device, address in want.addresses:
        yield _Address(device, address)
    yield from want.blackholes
    yield from want.neighbours
    yield from want.forwards
    yield from want.routes
    yield from detours


def _key(part: _Part) -> Hashable:
    """What is the same for two parts of which the kernel holds one."""
    match part:
        case Bridge() | Vxlan():
            return part.name
        case Route():
            return "route", part.destination
        case Neighbour():
            return part.device, part.address
        case Forward():
            return part.device, part.mac, part.to if part.mac == EVERYBODY else None
        case _:
            return part


def _device(part: _Part) -> str | None:
    """What it goes with; "" for what hangs on no device of its own."""
    if isinstance(part, Bridge | Vxlan):
        return part.name
    return "" if isinstance(part, IPv4Network | IPv6Network) else part.device


def _made(part: _Part, devices: Mapping[str, Device]) -> netlink.Message:
    match part:
        case Bridge():
            return links.bridge(part.name, part.mtu, part.index, part.mac)
        case Vxlan():
            return links.vxlan(
                links.End(part.name, part.mac, part.mtu, part.index),
                links.Tunnel(part.vni, part.port, part.local.packed, part.learning),
                master=devices[part.bridge].index if part.bridge else 0,
            )
        case _:
            return _message(part, devices)


def _gone(part: _Part, devices: Mapping[str, Device]) -> netlink.Message:
    if isinstance(part, Bridge | Vxlan):
        return links.delete_link(part.index)
    return _message(part, devices, delete=True)


def _index(name: str, devices: Mapping[str, Device]) -> int:
    """Of a device that was made here, or of one of the node's cables."""
    if name in devices:
        return devices[name].index
    return UPLINK_INDEX + int(name.removeprefix("eth"))


def _message(
    part: _Part, devices: Mapping[str, Device], *, delete: bool = False
) -> netlink.Message:
    match part:
        case _Address():
            return addresses.address(part.address, devices[part.device].index, delete=delete)
        case Route():
            index = devices[part.device].index if part.device else 0
            via = part.via.packed
            return static_routes.route(
                part.destination, index, via=via, onlink=part.onlink, delete=delete
            )
        case Neighbour():
            index = _index(part.device, devices)
            return neighbours.neighbour(part.address.packed, part.mac, index, delete=delete)
        case Forward():
            index = devices[part.device].index
            return neighbours.forward(part.mac, part.to.packed, index, delete=delete)
        case IPv4Network() | IPv6Network():
            return static_routes.blackhole(part, delete=delete)
    raise TypeError(part)
