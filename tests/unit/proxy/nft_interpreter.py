"""A pure reading of the nft input that the proxy writes: what a table holds after it.

It is as strict as a kernel: what is deleted has to be there and unused, what is gone to has to exist, an
element is not given two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from testbed.command import Command
from testbed.proxy.nftables_script import body, header, split_element

Table = dict[str, dict[str, tuple[str, ...]]]
"""Table -> block -> lines."""

_LINE = re.compile(
    r"(?P<verb>add|delete|flush) (?P<kind>table|chain|set|map|rule|element) (?P<table>ip6? kube-proxy)"
    r"(?: (?P<name>[^ {]+))?(?: (?P<rest>.+))?"
)


def apply(
    before: Mapping[str, Mapping[str, tuple[str, ...]]], commands: Iterable[Command]
) -> Table:
    """What is there after the commands; each is one transaction."""
    state = {name: dict(blocks) for name, blocks in before.items()}
    for command in commands:
        assert command.argv == ("nft", "-f", "-")
        for line in command.stdin.splitlines():
            _execute(state, line)
        for blocks in state.values():
            _check(blocks)
    return state


def _execute(state: Table, line: str) -> None:
    found = _LINE.fullmatch(line)
    assert found, f"not understood: {line}"
    verb, kind, table, name = found["verb"], found["kind"], found["table"], found["name"]
    rest = found["rest"] or ""
    if kind == "table":
        if verb == "add":
            state.setdefault(table, {})
        else:
            del state[table]
        return
    blocks = state[table]
    if kind == "rule":
        assert verb == "add"
        blocks[f"chain {name}"] += (rest,)
    elif kind == "element":
        _edit_element(blocks, verb, name, rest)
    elif verb == "add":
        assert f"{kind} {name}" not in blocks, f"there is one already: {line}"
        blocks[f"{kind} {name}"] = _declared(rest)
    elif verb == "flush":
        blocks[f"{kind} {name}"] = header(blocks[f"{kind} {name}"])
    else:
        del blocks[f"{kind} {name}"]


def _declared(rest: str) -> tuple[str, ...]:
    said = rest.removeprefix("{ ").removesuffix(" }")
    parts = [one.strip() for one in said.split(" ;") if one.strip()]
    if parts and " hook " in parts[0]:
        return ("; ".join(parts) + ";",)
    return tuple(parts)


def _edit_element(blocks: dict[str, tuple[str, ...]], verb: str, name: str, rest: str) -> None:
    (where,) = [one for one in (f"set {name}", f"map {name}") if one in blocks]
    declared, elements = header(blocks[where]), dict(map(split_element, body(blocks[where])))
    for text in rest.removeprefix("{ ").removesuffix(" }").split(", "):
        key, said = split_element(text)
        if verb == "delete":
            del elements[key]
        else:
            assert elements.get(key, said) == said, f"{key} has another meaning already"
            elements[key] = said
    lines = sorted(f"{key} {said}" if said else key for key, said in elements.items())
    blocks[where] = (*declared, *lines)


def _check(blocks: Mapping[str, tuple[str, ...]]) -> None:
    text = "\n".join(line for lines in blocks.values() for line in body(lines))
    for chain in re.findall(r"(?:goto|jump) ([^\s,]+)", text):
        assert f"chain {chain}" in blocks, f"no chain {chain}"
    for name in re.findall(r"@([^\s,]+)", text):
        assert f"set {name}" in blocks or f"map {name}" in blocks, f"no set {name}"
