"""From the rules a node has to the rules it should have, as iptables-restore's input.

One commit is one transaction per table, in kube-proxy's order (filter before nat). Where the number
of rules per transaction is bounded, the chains come in the order of a rule set, those jumped to
before those that jump: each chain changes at once, but a packet may meet the new KUBE-SEP- chains
of a service and its old KUBE-SVC- chain, which is sound, since an endpoint's chain is removed last.
Only a chain longer than the bound is seen half-filled for the time of a commit; the dispatch chains
are therefore edited, line by line, and not rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from testbed.command import Command
from testbed.errors import TestbedError
from testbed.proxy.names import CLUSTER_POLICY, ENDPOINT, EXTERNAL, FIREWALL, LOCAL_POLICY
from testbed.proxy.ruleset import Chains, Observed, Ruleset

TABLE_ORDER = ("mangle", "filter", "nat")
BUILT_IN = MappingProxyType(
    {
        "raw": ("PREROUTING", "OUTPUT"),
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
        "security": ("INPUT", "FORWARD", "OUTPUT"),
    }
)
OURS = "KUBE-"
_BUILT_IN_NAMES = frozenset(name for names in BUILT_IN.values() for name in names)
_NOTHING: Chains = MappingProxyType({})
_REMOVAL_ORDER = (EXTERNAL, FIREWALL, CLUSTER_POLICY, LOCAL_POLICY, ENDPOINT)


class RuleSyntaxError(TestbedError):
    """A line of rule text that is neither iptables-save's nor ours."""


def commands(
    have: Ruleset | None, want: Ruleset, tool: str, max_rules: int | None = None
) -> list[Command]:
    """The commands that turn `have` into `want`: none or one.

    `have=None`: the node holds nobody's rules, and the whole tables are replaced (without
    --noflush, which nft pays for with the square of the number of chains).
    """
    if have is None and max_rules is None:
        return [Command((tool,), _replacement(want))]
    before = have.tables if have else {}
    parts: list[str] = []
    for table in TABLE_ORDER:
        old, new = before.get(table, _NOTHING), want.tables.get(table, _NOTHING)
        if old != new:
            parts += _transactions(table, old, new, max_rules)
    return [Command((tool, "--noflush"), "".join(parts))] if parts else []


# Everything at once


def _replacement(want: Ruleset) -> str:
    return "".join(_whole_table(table, want.tables[table]) for table in TABLE_ORDER)


def _whole_table(table: str, chains: Chains) -> str:
    lines = [f"*{table}"]
    lines += [f":{name} ACCEPT [0:0]" for name in BUILT_IN[table]]
    lines += [f":{name} - [0:0]" for name in chains if name not in _BUILT_IN_NAMES]
    for rules in chains.values():
        lines += rules
    lines.append("COMMIT\n")
    return "\n".join(lines)


# Differences


def _transactions(table: str, old: Chains, new: Chains, max_rules: int | None) -> Iterator[str]:
    """The commits that turn one table's chains into others."""
    changed = [name for name, rules in new.items() if old.get(name) != rules]
    jumps = _jump_edits(old, new)
    stale = _removal_order(name for name in old if name not in new and name.startswith(OURS))
    if max_rules is None:
        lines = [f":{name} - [0:0]" for name in changed if name not in _BUILT_IN_NAMES]
        lines += [f":{name} - [0:0]" for name in stale]
        for name in changed:
            if name not in _BUILT_IN_NAMES:
                lines += new[name]
        lines += jumps
        lines += [f"-X {name}" for name in stale]
        yield _commit(table, lines)
        return
    edits = [_chain_edits(name, old.get(name), new[name], max_rules) for name in changed]
    removals = [[f":{name} - [0:0]"] for name in stale] + [[f"-X {name}"] for name in stale]
    for lines in _packed([*edits, jumps, *removals], max_rules):
        yield _commit(table, lines)


def _commit(table: str, lines: list[str]) -> str:
    return "\n".join([f"*{table}", *lines, "COMMIT\n"])


def _packed(groups: Iterable[list[str]], size: int) -> Iterator[list[str]]:
    """Groups of lines put together up to a size; a longer group is cut, a shorter one never is."""
    packed: list[str] = []
    for group in groups:
        if packed and len(packed) + len(group) > size:
            yield packed
            packed = []
        packed = packed + group
        while len(packed) > size:
            yield packed[:size]
            packed = packed[size:]
    if packed:
        yield packed


def _jump_edits(old: Chains, new: Chains) -> list[str]:
    """Our jumps out of the built-in chains, ahead of whatever others have put there."""
    lines: list[str] = []
    for name in sorted(_BUILT_IN_NAMES & {*old, *new}):
        before, after = old.get(name, ()), new.get(name, ())
        if before != after:
            lines += [_deletion(rule) for rule in before]
            lines += [f"-I{rule[2:]}" for rule in reversed(after)]
    return lines


def _deletion(rule: str) -> str:
    return f"-D{rule[2:]}"


def _chain_edits(
    name: str, old: tuple[str, ...] | None, new: tuple[str, ...], max_rules: int
) -> list[str]:
    """One chain's new content: rewritten, or edited where rewriting it would not fit one
    transaction.
    """
    if name in _BUILT_IN_NAMES:
        return []
    if old and len(new) >= max_rules:
        return _line_edits(name, old, new)
    return [f":{name} - [0:0]", *new]


def _line_edits(name: str, old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """Deletions, then insertions at their place. Rules in both keep their order: both are sorted
    alike; where they are not, the rules that are out of order count as different.
    """
    place = {rule: index for index, rule in enumerate(new)}
    kept_old: set[int] = set()
    kept_new: set[int] = set()
    last = -1
    for index, rule in enumerate(old):
        target = place.get(rule, -1)
        if target > last:
            kept_old.add(index)
            kept_new.add(target)
            last = target
    deletions = [
        f"-D {name} {index + 1}" for index in reversed(range(len(old))) if index not in kept_old
    ]
    insertions = [
        f"-I {name} {index + 1}{rule[len(name) + 3 :]}"
        for index, rule in enumerate(new)
        if index not in kept_new
    ]
    return deletions + insertions


def _removal_order(names: Iterable[str]) -> list[str]:
    """Chains that jump before those jumped to, so that none is removed while something refers to
    it.
    """

    def rank(name: str) -> int:
        for index, prefix in enumerate(_REMOVAL_ORDER):
            if name.startswith(prefix):
                return index
        return -1

    return sorted(names, key=lambda name: (rank(name), name))


# What a kernel holds


def parse_save(text: str) -> Observed:
    """`iptables-save`'s output as planned rules, in the plan's spelling. Raises RuleSyntaxError."""
    own: dict[str, Chains] = {}
    foreign = False
    for table, chains in parse_tables(text).items():
        ours: dict[str, tuple[str, ...]] = {}
        for name, rules in chains.items():
            if name.startswith(OURS):
                ours[name] = tuple([planned_spelling(rule) for rule in rules])
            elif name in BUILT_IN.get(table, ()):
                jumps = tuple([rule for rule in rules if _jumps_to_us(rule)])
                foreign = foreign or len(jumps) < len(rules)
                if jumps:
                    ours[name] = jumps
            else:
                foreign = True
        own[table] = ours
    return Observed(Ruleset(own), foreign or _has_policy(text))


def _jumps_to_us(rule: str) -> bool:
    return f" -j {OURS}" in rule


def _has_policy(text: str) -> bool:
    """A built-in chain that drops by default was set so by somebody else."""
    return any(line.startswith(":") and " DROP " in line for line in text.splitlines())


def parse_tables(text: str) -> dict[str, dict[str, list[str]]]:
    """Rule text (a save, or a restore's input into empty tables) as table -> chain -> rules.

    Raises RuleSyntaxError for a line that would edit what is there: such text has no meaning alone.
    """
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("-A "):
            chains.setdefault(line.split(" ", 2)[1], []).append(line)
        elif line.startswith(":"):
            chains.setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("*"):
            chains = tables.setdefault(line[1:].strip(), {})
        elif line and line != "COMMIT" and not line.startswith("#"):
            raise RuleSyntaxError(f"not understood in rule text: {line!r}")
    return tables


def planned_spelling(rule: str) -> str:
    """A saved rule as we would have written it: the kernel keeps 31 bits of a probability of 1/n."""
    head, match, tail = rule.partition("--probability ")
    if not match:
        return rule
    value, space, rest = tail.partition(" ")
    return f"{head}{match}{1 / round(1 / float(value)):0.10f}{space}{rest}"
