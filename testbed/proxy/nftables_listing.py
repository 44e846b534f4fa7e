"""What `nft -s -y list ruleset` says of our table, in the words that it was planned in.

nft lists what a kernel holds, not what was written: it sorts and joins networks, spells out marks, and leaves
out braces around one element. Only the forms that the proxy writes are turned back; anything else stays as
it is listed, differs from every plan, and goes with the next sync.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, summarize_address_range

from testbed.proxy.nftables_frame import TABLE_NAME
from testbed.proxy.nftables_ports import interval_set
from testbed.proxy.ruleset import Chains, Observed, Ruleset

_BLOCK = re.compile(r"\t(chain|set|map) (\S+) \{")
_MARKS = (
    (
        "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000",
        "mark and 0x4000 != 0 mark set mark xor 0x4000",
    ),
    ("meta mark set meta mark | 0x00004000", "mark set mark or 0x4000"),
)
_PICK = re.compile(r"dnat (ip6?) to numgen")
_NETWORKS = re.compile(r"^(ip6? [sd]addr(?: !=)?) (?:\{ ([^}]*) \}|([0-9a-f][^ ]*)) drop")
_SPAN_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_ELEMENTS = "elements = {"
_ADDED_BY_THE_KERNEL = "size "


def parse(text: str) -> Observed:
    """The listing as planned rules. Tables of others are theirs: they do not count as foreign rules."""
    tables: dict[str, Chains] = {}
    for head, lines in tables_of(text):
        family, _, name = head.partition(" ")
        if name == TABLE_NAME and family in {"ip", "ip6"}:
            tables[head] = dict(_blocks(lines))
    return Observed(Ruleset(tables), foreign=False)


def tables_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each table's head (`ip kube-proxy`) and its lines."""
    head, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("table "):
            head, lines = line.removeprefix("table ").removesuffix(" {"), []
        elif line == "}":
            yield head, lines
        else:
            lines.append(line)


def _blocks(lines: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    name, content = "", list[str]()
    for line in lines:
        opened = _BLOCK.match(line)
        if opened:
            name, content = f"{opened[1]} {opened[2]}", []
        elif line == "\t}":
            yield name, _set(content) if not name.startswith("chain ") else _chain(content)
        elif name:
            content.append(line.strip())


def _chain(lines: list[str]) -> tuple[str, ...]:
    return tuple([planned_spelling(line) for line in lines])


def planned_spelling(rule: str) -> str:
    """A listed rule as it was planned."""
    if "mark" in rule:
        for listed, planned in _MARKS:
            rule = rule.replace(listed, planned)
    if " to numgen" in rule:
        return _PICK.sub(r"dnat \1 addr . port to numgen", rule)
    if " drop" in rule:
        return _NETWORKS.sub(_as_planned, rule)
    return rule


def _as_planned(found: re.Match[str]) -> str:
    listed = found[2] or found[3]
    networks = [one for item in listed.split(", ") for one in _networks(item)]
    return f"{found[1]} {interval_set(networks)} drop"


def _networks(item: str) -> list[str]:
    first, dash, last = item.partition("-")
    if not dash:
        return [item]
    return [str(one) for one in summarize_address_range(ip_address(first), ip_address(last))]


def _set(lines: list[str]) -> tuple[str, ...]:
    """Declaration and sorted elements. What a set has collected by itself is not of our planning."""
    declared: list[str] = []
    elements: list[str] = []
    listing = False
    for line in lines:
        if listing or line.startswith(_ELEMENTS):
            listing = not line.endswith("}")
            listed = line.removeprefix(_ELEMENTS).rstrip("}").split(",")
            elements += [one.strip() for one in listed if one.strip()]
        elif not line.startswith(_ADDED_BY_THE_KERNEL):
            declared.append(_declaration(line))
    if "flags dynamic,timeout" in declared:
        elements = []
    return (*declared, *sorted(elements))


def _declaration(line: str) -> str:
    word, _, span = line.partition(" ")
    if word != "timeout":
        return line
    seconds = sum(int(n) * _SPAN_S[unit] for n, unit in re.findall(r"(\d+)([dhms])", span))
    return f"timeout {seconds}s"
