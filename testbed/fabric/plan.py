"""Topology -> Fabric: which machines there are, how they are joined, and how they route."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from hashlib import blake2s
from ipaddress import IPv6Address, ip_address, ip_interface

from testbed.fabric import sysctls
from testbed.fabric.machine import (
    BRIDGE,
    UPLINK_INDEX,
    Cable,
    End,
    Fabric,
    Interface,
    Machine,
)
from testbed.fabric.paths import routes
from testbed.ip import IPAddress, IPInterface
from testbed.model.addressing import AddressPlan, plan_addresses
from testbed.model.topology import Topology
from testbed.model.wiring import Kind, Wire, Wiring, wiring

_LONGEST_NAME = 15
"""Of an interface (IFNAMSIZ)."""


def plan(topology: Topology) -> Fabric:
    """The fabric of a topology. Fake nodes are no machines.

    Where the control plane is at a switch, the first address of that segment is its bridge's.
    """
    wired, addresses = wiring(topology), plan_addresses(topology)
    interfaces = _interfaces(topology, wired, addresses)
    ways = routes(wired, interfaces)
    of_kind = _sysctls(topology)
    return Fabric(
        machines=tuple(
            Machine(
                name,
                kind,
                interfaces[name],
                ways.get(name, ()),
                of_kind[kind],
                topology.routers[name].asn if kind == "router" else None,
            )
            for name, kind in wired.kinds.items()
        ),
        cables=tuple(_cables(topology, wired, interfaces)),
        control_plane=wired.control_plane,
        families=topology.network.families,
    )


def control_plane_alone(fabric: Fabric) -> Fabric:
    """The fabric before any other machine is there, and any cable."""
    return replace(fabric, machines=(fabric.machine(fabric.control_plane),), cables=())


def without(fabric: Fabric, names: Collection[str]) -> Fabric:
    """The fabric without some machines, and the cables at them."""
    return replace(
        fabric,
        machines=tuple(one for one in fabric.machines if one.name not in names),
        cables=tuple(
            one for one in fabric.cables if not any(end.machine in names for end in one.ends)
        ),
    )


def _interfaces(
    topology: Topology, wired: Wiring, addresses: AddressPlan
) -> dict[str, tuple[Interface, ...]]:
    """Of every machine; a switch's is its bridge."""
    mtus = {wire.name: wire.link.mtu or topology.network.mtu for wire in wired.wires}
    of_machines = wired.ports()
    found = {}
    for name, ports in of_machines.items():
        found[name] = tuple(
            Interface(
                f"eth{port.number}",
                UPLINK_INDEX + port.number,
                _mac(ip_address(own.ips[0]), wired.kinds[name]),
                tuple(
                    ip_interface(f"{ip}/{network.prefixlen}")
                    for ip, network in zip(own.ips, addresses.segments[segment.name], strict=True)
                ),
                segment.name,
                mtus[port.wire],
            )
            for (port, segment), own in zip(ports, addresses.interfaces.get(name, ()), strict=True)
        )
    for segment in wired.segments:
        networks = addresses.segments[segment.name]
        mtu = min((mtus[wire] for wire in segment.wires), default=topology.network.mtu)
        for name in segment.switches:
            here = name == wired.control_plane
            own = tuple(ip_interface((net[1], net.prefixlen)) for net in networks) if here else ()
            found[name] = (Interface(BRIDGE, UPLINK_INDEX, "", own, segment.name, mtu),)
    return found


def _cables(
    topology: Topology, wired: Wiring, interfaces: Mapping[str, tuple[Interface, ...]]
) -> list[Cable]:
    at = {
        (port.machine, port.wire): interfaces[port.machine][port.number]
        for segment in wired.segments
        for port in segment.ports
    }
    found = []
    for wire in wired.wires:
        one, other = wire.link.endpoints
        ends = (
            _end(wire, one, at.get((one, wire.name)), at.get((other, wire.name))),
            _end(wire, other, at.get((other, wire.name)), at.get((one, wire.name))),
        )
        mtu = wire.link.mtu or topology.network.mtu
        found.append(Cable(wire.name, ends, mtu, wire.link.shapes()))
    return found


def _end(wire: Wire, name: str, own: Interface | None, opposite: Interface | None) -> End:
    """A machine's interface, or a switch's port, named after who is at the other end."""
    if own is not None:
        return End(name, own.name, own.mac)
    one, other = wire.link.endpoints
    mac = f"02:02{opposite.mac[5:]}" if opposite else _port_mac(wire.name, name)
    return End(name, _port_name(wire.name, other if name == one else one), mac)


def _port_name(wire: str, opposite: str) -> str:
    """`to-n1`; what is too long, or a second one, ends in a number that follows from the wire's name."""
    name = f"to-{opposite}"
    if len(name) <= _LONGEST_NAME and wire.count(":") == 1:
        return name
    digest = blake2s(wire.encode(), digest_size=3).hexdigest()
    return f"{name[: _LONGEST_NAME - 7]}-{digest}"


def _port_mac(wire: str, switch: str) -> str:
    """Between switches, which talk to nobody under it."""
    digest = blake2s(f"{wire} {switch}".encode(), digest_size=4).digest()
    return "02:03:" + digest.hex(":")


def _sysctls(topology: Topology) -> dict[Kind, sysctls.Sysctls]:
    """What each kind of machine asks for, beside what all namespaces have."""
    ipv6 = 6 in topology.network.families
    linked: sysctls.Sysctls = ()
    if topology.all_links:
        linked = (*sysctls.LINKED, *(sysctls.LINKED_IPV6 if ipv6 else ()))
    forwards = (*sysctls.NODE, *(sysctls.NODE_IPV6 if ipv6 else ()), *linked)
    return {
        "node": forwards,
        "router": forwards,
        "host": (*sysctls.STAYS_OUT, *linked),
        "switch": (*sysctls.STAYS_OUT, *sysctls.SWITCH, *linked),
    }


def link_local(mac: str) -> IPInterface:
    """The link-local address that a MAC address stands for (RFC 4291, appendix A). A machine that forwards
    asks for its neighbours from it.
    """
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return ip_interface((IPv6Address(b"\xfe\x80" + bytes(6) + identifier), 64))


def _mac(address: IPAddress, kind: Kind) -> str:
    """Of an IPv4 address all four bytes; of an IPv6 one the last 31 bits, as hosts are a half apart."""
    number = int(address)
    if address.version == 6:
        number = number % 2**31 + 2**31 * (kind == "host")
    return "02:01:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4))
