"""The physical network under a cluster, as values: machines, their interfaces, the cables between them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from testbed.ip import IPAddress, IPInterface, IPNetwork
from testbed.model.shape import Shape
from testbed.model.wiring import Kind

BRIDGE = "br0"
"""A switch's bridge, and its own interface in the segment."""
UPLINK = "eth0"
UPLINK_INDEX = 64
"""ifindex of a machine's `eth0`, and of a switch's bridge: above those that the kernel gives out by itself.
`eth1` has the next one, and so on.
"""


@dataclass(frozen=True, slots=True)
class Route:
    """To `destination` by the machine at `via`. Several to one destination share it (ECMP)."""

    destination: IPNetwork
    via: IPAddress
    interface: str = UPLINK


@dataclass(frozen=True, slots=True)
class Interface:
    """Where a machine is joined to a segment; a switch's bridge, too."""

    name: str
    index: int
    mac: str
    """"" lets the kernel choose: of a bridge."""
    addresses: tuple[IPInterface, ...]
    """One per IP family; of a switch none, unless the control plane is there."""
    segment: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace: a node, an outside host, a router or a switch."""

    name: str
    kind: Kind
    interfaces: tuple[Interface, ...]
    """The first one is the primary: its addresses are the machine's."""
    routes: tuple[Route, ...]
    sysctls: tuple[tuple[str, str], ...]
    """What its part asks of the kernel, beside what every namespace of the lab has."""
    asn: int | None = None
    """The autonomous system of a router that speaks BGP."""

    @property
    def addresses(self) -> tuple[IPInterface, ...]:
        """One per IP family, the primary one first."""
        return self.interfaces[0].addresses

    @property
    def all_addresses(self) -> tuple[IPInterface, ...]:
        """Those of all its links."""
        return tuple(address for one in self.interfaces for address in one.addresses)

    @property
    def mtu(self) -> int:
        """What all of its links take."""
        return min(one.mtu for one in self.interfaces)


@dataclass(frozen=True, slots=True)
class End:
    """Where a cable ends: an interface of a machine, or a port of a switch."""

    machine: str
    interface: str
    mac: str


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins two interfaces."""

    name: str
    """`n1:tor1`, the second one between the two `n1:tor1:2`."""
    ends: tuple[End, End]
    """In the order of the file; in a lab without links the machine comes first."""
    mtu: int
    shapes: tuple[Shape, Shape]
    """What leaves by the first end, and what leaves by the second."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """All machines and what joins them. Fake nodes are none."""

    machines: tuple[Machine, ...]
    cables: tuple[Cable, ...]
    control_plane: str
    """The switch or router that the control plane listens at."""
    families: tuple[int, ...]
    """IP families, the primary one first."""

    def wires(self, name: str) -> frozenset[tuple[tuple[End, End], int]]:
        """What a machine hangs on: the ends and the MTU of each of its cables."""
        return frozenset(
            (cable.ends, cable.mtu)
            for cable in self.cables
            if name in (cable.ends[0].machine, cable.ends[1].machine)
        )

    def attached(self, name: str) -> tuple[Hashable, ...]:
        """What a machine hangs on, and by which addresses: routes go with either. Raises KeyError."""
        return self.wires(name), self.machine(name).interfaces

    def machine(self, name: str) -> Machine:
        """By name. Raises KeyError."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)
