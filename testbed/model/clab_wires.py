"""Making one network of a containerlab file's links: there the management network joins what they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.model.clab_nodes import Role
from testbed.model.fields import Path

MGMT = "mgmt"
"""The switch that stands for the management network."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A link by the lab's names of its ends; `path` is where it is written."""

    ends: tuple[str, ...]
    mtu: int | None
    path: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What is said of it beside its ends."""
        return {} if self.mtu is None else {"mtu": self.mtu}


def without_dead_ends(
    wires: Sequence[Wire], roles: Mapping[str, Role]
) -> tuple[list[Wire], list[Wire]]:
    """The wires that lead to a machine, to a switch with another wire or to `mgmt`, and the others."""
    kept: list[Wire] = list(wires)
    dropped: list[Wire] = []
    while True:
        counts = Counter(end for wire in kept for end in wire.ends)
        dead = [
            wire
            for wire in kept
            if any(
                counts[end] < 2 and end != MGMT and roles.get(end, "switch") == "switch"
                for end in wire.ends
            )
        ]
        if not dead:
            return kept, dropped
        dropped += dead
        kept = [wire for wire in kept if wire not in dead]


def joining(wires: Sequence[Wire], roles: Mapping[str, Role]) -> tuple[str, ...]:
    """What has to hang on the switch `mgmt` for all to be one network; nothing where they are.

    Of each part what forwards packets does: a switch, else a router, else all of its machines.
    """
    machines = [name for name, role in roles.items() if role != "switch"]
    parts = _parts([*machines, *(end for wire in wires for end in wire.ends)], wires)
    if len(parts) < 2:
        return ()
    return tuple(name for part in parts if MGMT not in part for name in _joints(part, roles))


def _joints(part: Sequence[str], roles: Mapping[str, Role]) -> Sequence[str]:
    for forwards in ("switch", "router"):
        for name in part:
            if roles.get(name, "switch") == forwards:
                return (name,)
    return part


def on_one_segment(ends: Iterable[Sequence[str]], roles: Mapping[str, Role]) -> bool:
    """Whether all nodes of the cluster hear each other's broadcasts: whether switches alone join them."""
    pairs = list(ends)
    beside = {name: {name} for pair in pairs for name in pair}
    for one, other in pairs:
        beside[one].add(other)
        beside[other].add(one)
    nodes = [name for name, role in roles.items() if role == "node"]
    reached, seen = [nodes[0]], {nodes[0]}
    for name in reached:
        if name == nodes[0] or roles.get(name, "switch") == "switch":
            new = sorted(beside.get(name, set()) - seen)
            reached += new
            seen |= set(new)
    return seen.issuperset(nodes)


def _parts(names: Iterable[str], wires: Iterable[Wire]) -> list[list[str]]:
    """The names, in parts that wires join, each in the order of `names`."""
    part = {name: {name} for name in names}
    for wire in wires:
        joined = set().union(*(part[end] for end in wire.ends))
        for name in joined:
            part[name] = joined
    found: dict[int, list[str]] = {}
    for name, joined in part.items():
        found.setdefault(id(joined), []).append(name)
    return list(found.values())
