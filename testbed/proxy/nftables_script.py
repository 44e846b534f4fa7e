"""From the table a node has to the one it should have, as input of `nft -f`.

One input is one transaction: a packet meets the rules before it or those after it, nothing between. What is
no longer referred to is removed by a second one, since a kernel before 6.2 lets go of a chain only after the
commit that dropped the last element which went there.

Where a transaction may not be large it is cut, in an order that is sound at each cut: chains before what goes
to them, each chain at once, dispatching elements last, and removals the other way round. A packet may then
meet the new service and its old neighbour, never half a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from testbed.command import Command
from testbed.proxy.nftables_names import port_of
from testbed.proxy.nftables_ports import NODE_PORT_IPS
from testbed.proxy.nftables_state import (
    SHARED,
    Changes,
    ElementChanges,
    Lines,
    changed_blocks,
    element,
)
from testbed.proxy.ruleset import Chains

NFT = ("nft", "-f", "-")

_DECLARES = ("type ", "flags ", "timeout ", "comment ")
_ELEMENTS_PER_LINE = 100
_FILLED = (NODE_PORT_IPS, *SHARED)
"""Sets and maps whose elements are planned, in the order in which they may be filled."""

_BYTES_PER_LINE = 400
_BYTES_PER_CHARACTER = 4
"""What a line of input becomes in netlink at most: an endpoint of a map, `7 : 10.244.1.2 . 8080, `, takes 34
bytes, one of IPv6, 12 characters or more, 46; a rule's expressions 300."""


# What differs


def header(lines: Lines) -> tuple[str, ...]:
    """The lines that declare a block; they come first."""
    if not lines or not lines[0].startswith(_DECLARES):
        return ()
    return tuple([line for line in lines if line.startswith(_DECLARES)])


def body(lines: Lines) -> tuple[str, ...]:
    """A block's rules or elements."""
    if not lines or not lines[0].startswith(_DECLARES):
        return lines or ()
    return tuple([line for line in lines if not line.startswith(_DECLARES)])


def differences(have: Chains, want: Chains) -> Changes:
    """What turns one table's blocks into another's."""
    blocks: list[tuple[str, Lines, Lines]] = []
    elements: ElementChanges = {}
    for name, old, new in changed_blocks(have, want):
        if name not in _FILLED or new is None:
            blocks.append((name, old, new))
            continue
        if header(old) != header(new):
            blocks.append((name, header(old) if old else None, header(new)))
        elements[name] = _changed_elements(body(old), body(new))
    return Changes(tuple(blocks), {name: found for name, found in elements.items() if found})


def _changed_elements(
    old: Iterable[str], new: Iterable[str]
) -> dict[str, tuple[str | None, str | None]]:
    before, after = dict(map(split_element, old)), dict(map(split_element, new))
    return {
        key: (before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def split_element(text: str) -> tuple[str, str]:
    """An element as (key, what follows it)."""
    for mark in (" comment ", " : "):
        key, found, rest = text.partition(mark)
        if found:
            return key, f"{mark.strip()} {rest}"
    return text, ""


def redeclares(changes: Changes) -> bool:
    """Whether a block of the fixed part is declared otherwise: then the whole table has to go first."""
    return any(_is_redeclared(one) for one in changes.blocks if "/" not in one[0])


def _is_redeclared(block: tuple[str, Lines, Lines]) -> bool:
    _, old, new = block
    return old is not None and new is not None and header(old) != header(new)


# The text


def commands(table: str, changes: Changes, *, anew: bool, max_bytes: int | None) -> list[Command]:
    """The commands that carry changes out. `anew`: the table is not there yet."""
    groups = list(_additions(table, changes, anew=anew))
    removals = list(_removals(table, changes))
    if not groups and not removals:
        return []
    if max_bytes is None:
        parts = [[line for group in half for line in group] for half in (groups, removals)]
        return [_command(lines) for lines in parts if lines]
    return [_command(lines) for half in (groups, removals) for lines in _packed(half, max_bytes)]


def replacement(table: str, want: Chains) -> Command:
    """The whole table instead of whatever is there, in one transaction."""
    groups = _additions(table, differences({}, want), anew=True)
    lines = [f"add table {table}", f"delete table {table}"]
    return _command([*lines, *(line for group in groups for line in group)])


def _command(lines: Iterable[str]) -> Command:
    return Command(NFT, "\n".join(lines) + "\n")


def _additions(table: str, changes: Changes, *, anew: bool) -> Iterator[list[str]]:
    """Everything but the removals. A group of lines has to stay together."""
    if anew:
        yield [f'add table {table} {{ comment "rules for kube-proxy" ; }}']
    for name, old, new in changes.blocks:
        if old is None and new is not None:
            yield [_declaration(table, name, new)]
    redeclared = {port_of(one[0]) for one in changes.blocks if _is_redeclared(one)}
    for port in sorted(redeclared):
        yield _redeclaration(table, [one for one in changes.blocks if port_of(one[0]) == port])
    fixed: list[list[str]] = []
    for name, old, new in changes.blocks:
        if name.startswith("chain ") and new is not None:
            rules = _rewritten(table, name, old, new)
            if "/" not in name:  # of no service port (see `port_of`)
                fixed.append(rules)
            elif rules and not (redeclared and port_of(name) in redeclared):
                yield rules
    yield from _emptied(table, changes)
    yield from _element_edits(table, changes.elements)
    # A fixed chain sends packets on: only when there is where to.
    yield from filter(None, fixed)


def _rewritten(table: str, name: str, old: Lines, new: Lines) -> list[str]:
    """A chain's new rules in place of those it has."""
    chain = name.removeprefix("chain ")
    rules = [f"add rule {table} {chain} {rule}" for rule in body(new)]
    return [f"flush {_in(table, name)}", *rules] if old else rules


def _redeclaration(table: str, blocks: list[tuple[str, Lines, Lines]]) -> list[str]:
    """A port with other sets of the same names: they can go when no rule refers to them."""
    chains = [one for one in blocks if one[0].startswith("chain ")]
    lines = [f"flush {_in(table, name)}" for name, old, _ in chains if old]
    for name, _, new in filter(_is_redeclared, blocks):
        lines += [f"delete {_in(table, name)}", _declaration(table, name, new)]
    for name, _, new in chains:
        lines += _rewritten(table, name, None, new)
    return lines


def _in(table: str, block: str) -> str:
    """`chain ip kube-proxy services` for `chain services`."""
    return block.replace(" ", f" {table} ", 1)


def _declaration(table: str, name: str, new: Lines) -> str:
    declared = header(new)
    if not declared:
        return f"add {_in(table, name)}"
    said = " ".join(
        [line.replace(";", " ;") if line.endswith(";") else f"{line} ;" for line in declared]
    )
    return f"add {_in(table, name)} {{ {said} }}"


def _emptied(table: str, changes: Changes) -> Iterator[list[str]]:
    """Chains that are to go: without rules, they refer to nothing."""
    for name, _, new in changes.blocks:
        if new is None and name.startswith("chain "):
            yield [f"flush {_in(table, name)}"]


def _element_edits(table: str, changes: ElementChanges) -> Iterator[list[str]]:
    ordered = [(where, changes[where]) for where in _FILLED if where in changes]
    for where, edits in reversed(ordered):
        keys = [key for key, (_, new) in edits.items() if new is None]
        yield from _element_lines("delete", table, where, keys)
    for where, edits in ordered:
        for key, (old, new) in edits.items():
            if old is not None and new is not None:
                change = [("delete", key), ("add", element(key, new))]
                yield [line for verb, one in change for line in _element(verb, table, where, [one])]
        texts = [
            element(key, new)
            for key, (old, new) in edits.items()
            if old is None and new is not None
        ]
        yield from _element_lines("add", table, where, texts)


def _element_lines(verb: str, table: str, where: str, elements: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(elements), _ELEMENTS_PER_LINE):
        yield _element(verb, table, where, elements[start : start + _ELEMENTS_PER_LINE])


def _element(verb: str, table: str, where: str, elements: list[str]) -> list[str]:
    name = where.partition(" ")[2]
    return [f"{verb} element {table} {name} {{ {', '.join(elements)} }}"]


def _removals(table: str, changes: Changes) -> Iterator[list[str]]:
    """Blocks that are to go, those that sent packets on first."""
    gone = [name for name, _, new in changes.blocks if new is None]
    for kind in ("chain ", "set ", "map "):
        for name in gone:
            if name.startswith(kind):
                yield [f"delete {_in(table, name)}"]


def _packed(groups: Iterable[list[str]], max_bytes: int) -> Iterator[list[str]]:
    """Groups put together up to a size; none is cut."""
    packed: list[str] = []
    size = 0
    for group in groups:
        added = sum([_BYTES_PER_LINE + _BYTES_PER_CHARACTER * len(line) for line in group])
        if packed and size + added > max_bytes:
            yield packed
            packed, size = [], 0
        packed = packed + group
        size += added
    if packed:
        yield packed


def table_of(tables: Mapping[str, Chains], table: str) -> Chains:
    """A table's blocks; none where it is not there."""
    return tables.get(table, {})
