"""Keeping groups of machines apart: what switches and routers are to drop.

Switches go by who sent a frame (its Ethernet address) and drop it at the port of whoever is not to have it,
broadcasts too: groups may share switches as they like. Routers, whose frames bear their own address, go by IP
networks. A cable straight from one group to another is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.fabric.machine import Cable, Fabric, Machine
from testbed.ip import IPNetwork
from testbed.model.addressing import AddressPlan

TABLE = "partition"
_FIRST_TABLE = 7000
"""Routing tables of routers: one per group."""
_PRIORITY = "-400"
"""Before everything else that looks at frames."""


@dataclass(frozen=True, slots=True)
class Ban:
    """On a router: nothing from `sources` gets to `destinations`. `table` is a routing table of its own."""

    table: int
    sources: tuple[IPNetwork, ...]
    destinations: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """A partition as switches and routers are to have it."""

    switches: Mapping[str, str]
    """nft's input, by switch."""
    bans: tuple[Ban, ...]
    """On every router."""
    routers: tuple[str, ...]
    cables: tuple[str, ...]
    """To cut."""


NO_BARRIER = Barrier({}, (), (), ())
NO_PARTITION = f"table bridge {TABLE} {{}}\ndelete table bridge {TABLE}\n"
"""nft's input, whether there is one or not."""


def barrier(
    fabric: Fabric, groups: Sequence[Sequence[str]], networks: Mapping[str, Sequence[IPNetwork]]
) -> Barrier:
    """What keeps the groups apart. `networks`: addresses that packets of a machine bear, its pods' too.

    A group may name the control plane's machine: it then talks to that group only.
    """
    group_of = {name: index for index, group in enumerate(groups) for name in group}
    switches = {
        machine.name: _rules(fabric, machine, group_of)
        for machine in fabric.machines
        if machine.kind == "switch"
    }
    routers = tuple(machine.name for machine in fabric.machines if machine.kind == "router")
    return Barrier(
        switches,
        tuple(_bans(groups, networks)) if routers else (),
        routers,
        tuple(cable.name for cable in fabric.cables if _between(fabric, cable, group_of)),
    )


def _between(fabric: Fabric, cable: Cable, group_of: Mapping[str, int]) -> bool:
    """Whether it joins two machines that must not meet. A switch, even one with the control plane in it,
    goes on passing frames among all who share a group.
    """
    if any(fabric.machine(end.machine).kind == "switch" for end in cable.ends):
        return False
    one, other = (group_of.get(end.machine) for end in cable.ends)
    return one is not None and other is not None and one != other


def networks_of(fabric: Fabric, addresses: AddressPlan) -> dict[str, tuple[IPNetwork, ...]]:
    """What packets of each machine are sent from: its own addresses and its pods'."""
    pods = {name: map(ip_network, node.pod_cidrs) for name, node in addresses.nodes.items()}
    return {
        machine.name: (
            *(ip_network(address.ip) for address in machine.all_addresses),
            *pods.get(machine.name, ()),
        )
        for machine in fabric.machines
    }


def _bans(
    groups: Sequence[Sequence[str]], networks: Mapping[str, Sequence[IPNetwork]]
) -> Iterator[Ban]:
    own = [tuple(net for name in group for net in networks.get(name, ())) for group in groups]
    for index, sources in enumerate(own):
        others = tuple(net for other, nets in enumerate(own) if other != index for net in nets)
        yield Ban(_FIRST_TABLE + index, sources, others)


def _rules(fabric: Fabric, switch: Machine, group_of: Mapping[str, int]) -> str:
    """Of one switch: a chain for what it passes on; where the control plane is, two for what is its own."""
    passing = []
    for cable in fabric.cables:
        for own, far in (cable.ends, cable.ends[::-1]):
            group = group_of.get(far.machine)
            if own.machine == switch.name and group is not None:
                banned = _senders(fabric, group_of, group)
                passing += [f'oifname "{own.interface}" ether saddr {banned} drop'] * bool(banned)
    chains = {"forward": passing}
    here = group_of.get(switch.name)
    if here is not None and (banned := _senders(fabric, group_of, here)):
        chains |= {
            "output": [f"ether daddr {banned} drop"],
            "input": [f"ether saddr {banned} drop"],
        }
    body = "".join(_chain(hook, rules) for hook, rules in chains.items() if rules)
    return f"{NO_PARTITION}table bridge {TABLE} {{\n{body}}}\n" if body else NO_PARTITION


def _chain(hook: str, rules: Sequence[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {hook} {{\n    type filter hook {hook} priority {_PRIORITY};\n{lines}  }}\n"


def _senders(fabric: Fabric, group_of: Mapping[str, int], group: int) -> str:
    """Ethernet addresses of the machines in all other groups, as a set; "" where there are none."""
    macs = [
        interface.mac
        for machine in fabric.machines
        if machine.kind != "switch" and group_of.get(machine.name, group) != group
        for interface in machine.interfaces
    ]
    return f"{{ {', '.join(macs)} }}" if macs else ""
