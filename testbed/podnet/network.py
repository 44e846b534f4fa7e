"""What joins the pods of different nodes: a `PodNetwork` says what each node has to have for it. Pure.

Each has a file of its own here, named after what it is like; `networks` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from testbed.ip import IPAddress, IPInterface, IPNetwork
from testbed.model.fields import Mistake
from testbed.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Member:
    """A node as its Node object shows it to all others."""

    name: str
    addresses: tuple[IPAddress, ...]
    """One per IP family, the primary one first; so are its ranges."""
    pod_cidrs: tuple[IPNetwork, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    """What its own agent has said of it, and whatever else there is."""


@dataclass(frozen=True, slots=True)
class Site:
    """The node that is planned for: what only it knows of itself."""

    name: str
    links: tuple[IPInterface, ...]
    """The addresses of its cables, with their networks."""
    mtu: int
    """Of its cables."""
    services: tuple[IPNetwork, ...] = ()
    """Addresses of load balancers that it is to tell routers of, where these are told by BGP."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A switch on the node."""

    name: str
    index: int
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN tunnel's end (RFC 7348)."""

    name: str
    index: int
    mac: str
    mtu: int
    vni: int
    port: int
    local: IPAddress
    learning: bool = False
    """Whether it takes from traffic where a MAC address is, besides what it is told."""
    bridge: str = ""
    """The bridge that it is a port of."""


Device = Bridge | Vxlan


@dataclass(frozen=True, slots=True)
class Route:
    """To `destination` by the machine at `via`."""

    destination: IPNetwork
    via: IPAddress
    device: str = ""
    """"": the one whose network `via` is in."""
    onlink: bool = False
    """`via` is on the device, whatever its addresses say."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who has an address, for good: nobody is asked."""

    address: IPAddress
    mac: str
    device: str


@dataclass(frozen=True, slots=True)
class Forward:
    """An entry of a tunnel's forwarding table: frames for `mac` go to machine `to`."""

    mac: str
    to: IPAddress
    device: str


EVERYBODY = "00:00:00:00:00:00"
"""As a `Forward`'s MAC address: frames for all, and for whom nobody knows, go there, too."""


@dataclass(frozen=True, slots=True)
class Match:
    """Addresses in `network`, or `outside` it."""

    network: IPNetwork
    outside: bool = False


@dataclass(frozen=True, slots=True)
class MasqueradeRule:
    """What leaves the node from `source` to `destination` (None: any) takes the node's address, or not."""

    source: Match | None
    destination: Match | None
    hide: bool


@dataclass(frozen=True, slots=True)
class Masquerade:
    """Rules of one IP family, the first that fits decides. `chain` and nftables' `table` are the original's."""

    family: int
    chain: str
    table: str
    comment: str
    rules: tuple[MasqueradeRule, ...]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program that belongs to a node's network, and its configuration."""

    program: str
    config: str
    peers: Mapping[str, str] = field(default_factory=dict)
    """The machine that each of its sessions is with, by the session's name."""


@dataclass(frozen=True, slots=True)
class Bridged:
    """Pods hang on a bridge of the node, in a network that they all share."""

    bridge: str
    gateways: tuple[IPInterface, ...]
    """The node's own addresses there, with the shared networks; a pod's default gateways."""


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """All that a node has to have."""

    pod_mtu: int
    """Of its pods' links."""
    pod_cidrs: tuple[IPNetwork, ...] = ()
    """What its pods' addresses are of."""
    pod_links: Bridged | None = None
    """None: each is routed by itself (`podnet.link`)."""
    devices: tuple[Device, ...] = ()
    addresses: tuple[tuple[str, IPInterface], ...] = ()
    """(device, address)."""
    routes: frozenset[Route] = frozenset()
    blackholes: frozenset[IPNetwork] = frozenset()
    """Packets for whom nothing more particular is known end here; they do not leave by the default route."""
    neighbours: frozenset[Neighbour] = frozenset()
    forwards: frozenset[Forward] = frozenset()
    sysctls: tuple[tuple[str, str], ...] = ()
    """(name under net/ with slashes, value)."""
    masquerade: tuple[Masquerade, ...] = ()
    daemon: Daemon | None = None
    awaits: frozenset[IPNetwork] = frozenset()
    """Destinations to which the daemon is to bring routes: without them the node is not ready."""


class PodNetwork(Protocol):
    """One way to join the pods of different nodes. All methods are pure."""

    @property
    def needs(self) -> frozenset[str]:
        """Features of the kernel and of the host (`kernel.features`)."""

    @property
    def overhead(self) -> int:
        """How many bytes it adds to a pod's packet."""

    def mistakes(self, topology: Topology) -> list[Mistake]:
        """What it cannot do of a topology."""

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        """What a node's agent says of it in its Node object, for the others."""

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        """What one of the members has to have; `members` are all, in one order for everybody."""

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        """Routes to pod addresses that are away from the node of their range: `away` says on which member.
        (`network.stickyIPs`.)
        """
