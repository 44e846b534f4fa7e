"""iptables-restore in a few lines: what a command's text does to the rules that are there.

It is as strict as the kernel where a wrong order would fail there: a jump needs its chain, a chain
that is removed must be empty and unreferenced, a rule that is deleted must exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from testbed.command import Command
from testbed.proxy.iptables_restore import BUILT_IN

Tables = dict[str, dict[str, list[str]]]

_TARGETS = frozenset({"ACCEPT", "DROP", "REJECT", "RETURN", "MARK", "DNAT", "MASQUERADE"})


def empty_tables() -> Tables:
    """A fresh network namespace."""
    return {table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()}


def apply(tables: Tables, commands: Iterable[Command]) -> tuple[Tables, list[int]]:
    """The tables after the commands, and how many lines each transaction had."""
    sizes: list[int] = []
    for command in commands:
        flush = "--noflush" not in command.argv
        flushed: set[str] = set()
        for transaction in command.stdin.split("COMMIT\n")[:-1]:
            head, *lines = transaction.splitlines()
            table = head.removeprefix("*")
            before = {name: list(rules) for name, rules in tables[table].items()}
            if flush and table not in flushed:
                before = {name: [] for name in BUILT_IN[table]}
                flushed.add(table)
            for line in lines:
                _line(before, line)
            _check(before)
            tables = {**tables, table: before}
            sizes.append(len(lines))
    return tables, sizes


def as_text(tables: Tables) -> str:
    """What iptables-save prints of the tables."""
    lines: list[str] = []
    for table, chains in tables.items():
        lines.append(f"*{table}")
        lines += [f":{name} - [0:0]" for name in chains]
        for rules in chains.values():
            lines += rules
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def _line(chains: dict[str, list[str]], line: str) -> None:
    if line.startswith(":"):
        name, policy, _ = line[1:].split(" ")
        if policy == "-":
            chains[name] = []
        return
    action, name, *_ = line.split(" ")
    rest = line[len(action) + len(name) + 2 :]
    first = rest.split(" ", 1)[0]
    if action == "-X":
        assert chains.pop(name) == [], f"{name} is not empty"
    elif action == "-A":
        chains[name].append(line)
    elif action == "-I" and first.isdigit():
        assert int(first) <= len(chains[name]) + 1, f"no place {first} in {name}"
        chains[name].insert(int(first) - 1, f"-A {name}{rest[len(first) :]}")
    elif action == "-I":
        chains[name].insert(0, f"-A {name} {rest}")
    elif action == "-D" and first.isdigit():
        chains[name].pop(int(first) - 1)
    else:
        assert action == "-D", f"not understood: {line}"
        chains[name].remove(f"-A {name} {rest}")


def _check(chains: dict[str, list[str]]) -> None:
    for rules in chains.values():
        for rule in rules:
            target = rule.rpartition("-j ")[2].split(" ")[0]
            assert target in chains or target in _TARGETS, f"no chain {target} for {rule}"
