"""The whole table of one node, put together from its service ports, and from the table before.

A sync must not walk 20,000 services for one that changed: what did not change is taken over by identity,
and what did is noted as a Step, from which the commands follow without a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testbed.proxy import nftables_ports as ports
from testbed.proxy.nftables_frame import Frame, frame_chains, frame_sets
from testbed.proxy.nftables_names import AFFINITY, port_of
from testbed.proxy.nftables_ports import Claim, PortObjects
from testbed.proxy.ruleset import Chains
from testbed.proxy.stretch import differing
from testbed.proxy.table import ServicePortEntry

Claims = dict[str, tuple[Claim, ...]]
"""Key -> who wants it, the first of them the one that has it."""

_DECLARED = 2
"""Lines that declare a shared set or map: its type, its comment."""
_AFFINITY_SET = f"set {AFFINITY}"

SHARED = (
    ports.HAIRPINS,
    ports.FIREWALL_IPS,
    ports.SERVICE_IPS,
    ports.SERVICE_NODE_PORTS,
    ports.NO_ENDPOINT_SERVICES,
    ports.NO_ENDPOINT_NODE_PORTS,
    ports.CLUSTER_IPS,
)
"""Sets and maps whose elements come from service ports, in the order in which they may be filled: a
filter before what it filters, and what rejects the rest last.
"""

Lines = tuple[str, ...] | None
"""A block's lines; None: there is no such block."""

ElementChanges = dict[str, dict[str, tuple[str | None, str | None]]]
"""Set or map -> key -> what followed it and what is to follow it; None: it is not there."""


@dataclass(frozen=True, slots=True)
class Changes:
    """From one table to another. Blocks in their order: (name, lines now, lines wanted).

    A chain whose lines are the same is written anew, because a set that it refers to is declared anew.
    """

    blocks: tuple[tuple[str, Lines, Lines], ...]
    elements: ElementChanges

    def count(self) -> int:
        """How many chains, sets and maps differ."""
        return len(self.blocks) + sum(map(bool, self.elements.values()))


class Hairpins:
    """The elements of `hairpin-connections` by node, of the same ports; looked up when a second node asks."""

    def __init__(self, found: tuple[PortObjects, ...]) -> None:
        self._ports = found
        self._by_node: dict[str, Claims] = {}

    def on(self, node: str) -> Claims:
        """Of one node; not to be changed."""
        if not self._by_node:
            self._by_node = self._all()
        return self._by_node.get(node, {})

    def _all(self) -> dict[str, Claims]:
        found: dict[str, Claims] = {}
        for port in self._ports:
            for endpoint in port.endpoints:
                _, key, claim = port.hairpin(endpoint)
                _claim(found.setdefault(endpoint.node, {}), key, claim)
        return found


def _claim(claims: Claims, key: str, claim: tuple[Claim, ...]) -> None:
    if claims.setdefault(key, claim) is not claim:
        claims[key] = tuple(sorted({*claims[key], *claim}))


@dataclass(frozen=True, slots=True)
class State:
    """A table in parts. `step` leads to it from the state whose `token` is `origin`."""

    frame: Frame
    node: str
    entries: tuple[ServicePortEntry, ...]
    ports: tuple[PortObjects, ...]
    elements: Mapping[str, Claims]
    hairpins: Hairpins
    origin: object = None
    step: Changes | None = None
    token: object = field(default_factory=object)

    def since(self, before: object) -> Changes | None:
        """What leads here from the state before; None where that was not noted."""
        if before is self:
            return Changes((), {})
        known = isinstance(before, State) and before.token is self.origin
        return self.step if known else None

    def changed_chains(self, before: object) -> int | None:
        """See `ruleset.Remembering`."""
        changes = self.since(before)
        return None if changes is None else changes.count()


class Blocks(Mapping[str, tuple[str, ...]]):
    """A state as block -> lines, written out when somebody asks for them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._all: dict[str, tuple[str, ...]] | None = None

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._written_out()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._written_out())

    def __len__(self) -> int:
        fixed = len(frame_sets(self._state.frame)) + len(frame_chains(self._state.frame))
        return fixed + sum([len(port.blocks) for port in self._state.ports])

    def _written_out(self) -> dict[str, tuple[str, ...]]:
        if self._all is None:
            self._all = _written_out(self._state)
        return self._all


def everything(state: State) -> Changes:
    """What leads to a state from nothing: as a comparison would find it, without writing the table out."""
    sets = frame_sets(state.frame)
    blocks = [
        *[block for port in state.ports for block in port.blocks],
        *[(name, lines[:_DECLARED]) for name, lines in sets.items()],
        *frame_chains(state.frame).items(),
    ]
    elements: ElementChanges = {
        name: dict.fromkeys(lines[_DECLARED:], (None, "")) for name, lines in sets.items()
    }
    for name, claims in state.elements.items():
        elements[name] = {key: (None, claims[key][0][1]) for key in sorted(claims)}
    changed = {name: found for name, found in elements.items() if found}
    return Changes(tuple([(name, None, lines) for name, lines in blocks]), changed)


def _written_out(state: State) -> dict[str, tuple[str, ...]]:
    blocks: dict[str, tuple[str, ...]] = {}
    for port in state.ports:
        blocks.update(port.blocks)
    for name, lines in frame_sets(state.frame).items():
        claims = state.elements.get(name, {})
        elements = sorted(element(key, found[0][1]) for key, found in claims.items())
        blocks[name] = (*lines, *elements)
    return {**blocks, **frame_chains(state.frame)}


def element(key: str, said: str) -> str:
    """An element as nft has it."""
    return f"{key} {said}" if said else key


# From the entries of a table


Spell = Callable[[ServicePortEntry], PortObjects]


def fresh(frame: Frame, node: str, entries: tuple[ServicePortEntry, ...], spell: Spell) -> State:
    """The state of a table, from nothing."""
    found = tuple([spell(entry) for entry in entries])
    elements: dict[str, Claims] = {name: {} for name in SHARED}
    for port in found:
        for where, key, claim in port.elements:
            _claim(elements[where], key, claim)
        for _, key, claim in port.hairpins_on(node):
            _claim(elements[ports.HAIRPINS], key, claim)
    return State(frame, node, entries, found, elements, Hairpins(found))


def of_other_node(before: State, frame: Frame, node: str) -> State:
    """The state of the same entries on another node: only its own endpoints' hairpins are others."""
    elements = {**before.elements, ports.HAIRPINS: before.hairpins.on(node)}
    return State(frame, node, before.entries, before.ports, elements, hairpins=before.hairpins)


def following(before: State, entries: tuple[ServicePortEntry, ...], spell: Spell) -> State:
    """The state of a table with the frame and the node of the one before."""
    start, old_end, new_end = differing(before.entries, entries)
    old, new = before.ports[start:old_end], []
    known = {id(port.entry): port for port in old}
    for entry in entries[start:new_end]:
        new.append(known.get(id(entry)) or spell(entry))
    kept = {id(port) for port in old} & {id(port) for port in new}
    gone = [port for port in old if id(port) not in kept]
    come = [port for port in new if id(port) not in kept]
    elements, changed = _moved(before, gone, come)
    found = (*before.ports[:start], *new, *before.ports[old_end:])
    return State(
        frame=before.frame,
        node=before.node,
        entries=entries,
        ports=found,
        elements=elements,
        hairpins=Hairpins(found),
        origin=before.token,
        step=Changes(tuple(_changed_blocks(gone, come)), changed),
    )


def _changed_blocks(
    gone: Iterable[PortObjects], come: Iterable[PortObjects]
) -> Iterator[tuple[str, Lines, Lines]]:
    old = {name: lines for port in gone for name, lines in port.blocks}
    new = {name: lines for port in come for name, lines in port.blocks}
    yield from changed_blocks(old, new)


def changed_blocks(old: Chains, new: Chains) -> Iterator[tuple[str, Lines, Lines]]:
    """Blocks that differ, and those that have to be written anew with them."""
    differ = {name for name, lines in new.items() if old.get(name) != lines}
    anew = {port_of(name) for name in differ if name in old and name.startswith(_AFFINITY_SET)}
    for name, lines in new.items():
        if name in differ or (anew and name in old and port_of(name) in anew):
            yield name, old.get(name), lines
    for name, lines in old.items():
        if name not in new:
            yield name, lines, None


def _moved(
    before: State, gone: Iterable[PortObjects], come: Iterable[PortObjects]
) -> tuple[dict[str, Claims], ElementChanges]:
    """All elements after some ports left and some came, and those that are not as before."""
    elements = dict(before.elements)
    touched: dict[str, set[str]] = {}

    def claims_of(where: str, key: str) -> Claims:
        if where not in touched:
            touched[where] = set()
            elements[where] = dict(elements[where])
        touched[where].add(key)
        return elements[where]

    old = {one for port in gone for one in port.elements_on(before.node)}
    new = {one for port in come for one in port.elements_on(before.node)}
    for where, key, theirs in old - new:
        claims = claims_of(where, key)
        claims[key] = tuple([one for one in claims[key] if one not in theirs])
    for where, key, theirs in new - old:
        claims = claims_of(where, key)
        claims[key] = tuple(sorted({*claims.get(key, ()), *theirs}))
    changed: ElementChanges = {}
    for where, keys in sorted(touched.items()):
        for key in sorted(keys):
            said = _said(before.elements[where], key), _said(elements[where], key)
            if not elements[where][key]:
                del elements[where][key]
            if said[0] != said[1]:
                changed.setdefault(where, {})[key] = said
    return elements, changed


def _said(claims: Claims, key: str) -> str | None:
    found = claims.get(key)
    return found[0][1] if found else None
