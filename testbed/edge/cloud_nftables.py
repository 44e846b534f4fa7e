"""A balancer in nftables that passes packets on as they came, as Maglev-like balancers of clouds do.

It stands where packets enter the link, before addresses and routes count (family netdev), picks a node for each
new flow, remembers it for as long as packets come, and sends the packet to that node's MAC address (`fwd`). The
node sees client and service address unchanged, and answers the client past the balancer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.command import Command
from testbed.edge.cloud import Frontend, Target
from testbed.edge.spread import Spread
from testbed.ip import family_of

TABLE = "netdev cloud"
FLOW_S = 600
"""A flow without packets is forgotten after that: Google's passthrough balancers have this by default."""
_FLOWS = 65536
"""Of one node and frontend."""
_KEYS = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}


@dataclass(frozen=True, slots=True)
class Rules:
    """Chains are by name, each its rules; sets by name, each its type. `entry` is the hooked chain's."""

    entry: tuple[str, ...]
    chains: dict[str, tuple[str, ...]]
    sets: dict[str, str]


def rules(state: Sequence[Spread], interface: str) -> Rules:
    """The rules of a state, for packets that come by `interface`."""
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, str] = {}
    for one in state:
        front = one.frontend
        for target in front.targets:
            chains[_to(front, target)] = (_remembered(front, target), _forward(target, interface))
            sets[_to(front, target)] = f"{_KEYS[family_of(front.address)][1]} . inet_service"
        chains[front.name] = tuple(_picks(one))
    return Rules(tuple(_entries(state)), chains, sets)


def commands(have: Rules | None, want: Rules, interface: str) -> tuple[Command, ...]:
    """From one state to the next (None: nothing is known of what there is). Flows that are remembered stay.

    What nobody goes to any more is deleted by a second transaction: before Linux 6.2 a kernel lets go of it
    only after the first.
    """
    if have == want:
        return ()
    lines = [f"add table {TABLE}"] + ([f"delete table {TABLE}"] if have is None else [])
    lines += [f"add table {TABLE}"] if have is None else []
    hook = f'{{ type filter hook ingress device "{interface}" priority 0; policy accept; }}'
    lines += [f"add chain {TABLE} ingress {hook}", f"flush chain {TABLE} ingress"]
    for name, kind in want.sets.items():
        if have is None or name not in have.sets:
            spec = f"type {kind}; size {_FLOWS}; flags dynamic,timeout; timeout {FLOW_S}s;"
            lines.append(f"add set {TABLE} {name} {{ {spec} }}")
    old = have.chains if have is not None else {}
    changed = {name: body for name, body in want.chains.items() if old.get(name) != body}
    for name in changed:
        lines += [f"add chain {TABLE} {name}", f"flush chain {TABLE} {name}"]
    lines += [f"add rule {TABLE} {name} {rule}" for name, body in changed.items() for rule in body]
    gone = [name for name in old if name not in want.chains]
    lines += [f"flush chain {TABLE} {name}" for name in gone]
    lines += [f"add rule {TABLE} ingress {rule}" for rule in want.entry]
    batches = [lines]
    if gone:
        sets = [name for name in gone if have is not None and name in have.sets]
        batches.append(
            [f"delete chain {TABLE} {name}" for name in gone]
            + [f"delete set {TABLE} {name}" for name in sets]
        )
    return tuple(Command(("nft", "-f", "-"), "\n".join(batch) + "\n") for batch in batches)


def _entries(state: Sequence[Spread]) -> Iterator[str]:
    """One look-up per IP family, however many frontends there are."""
    for family, (word, _) in _KEYS.items():
        elements = [
            f"{front.address} . {front.protocol.lower()} . {front.port} : goto {front.name}"
            for front in (one.frontend for one in state)
            if family_of(front.address) == family
        ]
        if elements:
            yield f"{word} daddr . meta l4proto . th dport vmap {{ {', '.join(elements)} }}"


def _picks(one: Spread) -> Iterator[str]:
    """Who has the flow keeps it; a new one goes to each node in turn, or by its client's address."""
    front = one.frontend
    word = _KEYS[family_of(front.address)][0]
    for target in front.targets:
        yield f"{word} saddr . th sport @{_to(front, target)} goto {_to(front, target)}"
    if one.taking:
        how = f"jhash {word} saddr" if front.sticky else "numgen inc"
        slots = ", ".join(
            f"{number} : goto {_to(front, target)}" for number, target in enumerate(one.taking)
        )
        yield f"{how} mod {len(one.taking)} vmap {{ {slots} }}"


def _remembered(front: Frontend, target: Target) -> str:
    word = _KEYS[family_of(front.address)][0]
    return f"update @{_to(front, target)} {{ {word} saddr . th sport }}"


def _forward(target: Target, interface: str) -> str:
    return f'fwd {_KEYS[family_of(target.ip)][0]} to {target.ip} device "{interface}"'


def _to(front: Frontend, target: Target) -> str:
    """Of the chain, and of the set of flows, that lead a frontend's packets to a node."""
    return f"{front.name}-{target.node}"
