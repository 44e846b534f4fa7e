"""Two nodes' service rules compared: what one has and the other has not, chain by chain.

Alike is what does the same: counters, handles and comments do not count, nor the order of services in a chain
that leads to each of them, nor that of endpoints which have the same shares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from testbed.errors import UsageError
from testbed.proxy.iptables_restore import parse_save
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_table import SECTION
from testbed.trace.dump import counters_removed, nft_tables
from testbed.trace.tools import NFT, tool_of

Kind = Literal["iptables", "nftables", "ipvs", "userspace"]
Units = Mapping[tuple[str, str], tuple[str, ...]]
"""(table, chain) -> its lines, normalised."""

_COMMENT = re.compile(r' ?-m comment --comment (?:"[^"]*"|\S+)')
_NFT_COMMENT = re.compile(r' ?comment "[^"]*"')
_SERVICE = re.compile(r'--comment "?([a-z0-9.-]+/[a-z0-9.-]+(?::[A-Za-z0-9.-]+)?)')
_NFT_SERVICE = re.compile(r"-([a-z0-9.-]+/[a-z0-9.-]+)/(?:tcp|udp|sctp)/")
_CHANCE = re.compile(r"-m statistic --mode random --probability ([\d.]+) ")
_CHOICES = re.compile(r"(numgen random mod \d+ v?map) \{ ?([^}]*?) ?\}")
_ORDERED = ("KUBE-SVC-", "KUBE-SVL-")
"""Chains whose rules share new connections out among endpoints."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One chain (or map, or set) that differs; `service` is what its rules are about, where they say so."""

    table: str
    chain: str
    service: str
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def differences(first: str, second: str) -> list[Difference]:
    """What differs between two dumps of service rules; nothing where they do the same.

    Raises UsageError for dumps of different proxy modes, or none.
    """
    kinds = kind_of(first), kind_of(second)
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"the first has rules of mode {kinds[0]}, the second of mode {kinds[1]}",
            "compare dumps of one proxy mode",
        )
    here, there = units(first, kinds[0]), units(second, kinds[1])
    services = {**_services(second), **_services(first)}
    found: list[Difference] = []
    for key in sorted({*here, *there}):
        ours, theirs = Counter(here.get(key, ())), Counter(there.get(key, ()))
        if ours != theirs or (key in here) != (key in there):
            found.append(
                Difference(
                    *key,
                    services.get(key[1], ""),
                    tuple(sorted((ours - theirs).elements())),
                    tuple(sorted((theirs - ours).elements())),
                )
            )
    return found


def kind_of(text: str) -> Kind:
    """The proxy mode whose rules a dump holds. Raises UsageError."""
    if text.startswith("### "):
        return "ipvs"
    if text.startswith(f"*{SECTION}\n"):
        return "userspace"
    if tool_of(text) == NFT:
        return "nftables"
    if "\n*" in f"\n{text}":
        return "iptables"
    raise UsageError(
        "no dump of a node's rules",
        "take it with `testbed rules LAB NODE`, iptables-save or nft list ruleset",
    )


def units(text: str, kind: Kind) -> Units:
    """A dump's own chains of the proxy, normalised. Raises UsageError, RuleSyntaxError."""
    if kind == "nftables":
        tables: Mapping[str, Mapping[str, Iterable[str]]] = nft_tables(text)
        return {
            (table, block): tuple(map(_nft_line, lines))
            for table, blocks in tables.items()
            for block, lines in blocks.items()
        }
    if kind == "ipvs":
        tables = IpvsBackend("rr", "legacy", _family(text)).parse(text).own.tables
    elif kind == "userspace":
        tables = UserspaceBackend("legacy").parse(text).own.tables
    else:
        tables = parse_save(counters_removed(text)).own.tables
    return {
        (table, chain): _chain(chain, tuple(lines))
        for table, chains in tables.items()
        for chain, lines in chains.items()
        if lines
    }


def _family(text: str) -> int:
    return 6 if "ip6tables" in text else 4


def _chain(name: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    plain = tuple(_COMMENT.sub("", line) for line in lines)
    return _shared(plain) if name.startswith(_ORDERED) else plain


def _shared(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Each rule of a cascade with its share of all, so that its place does not count."""
    left, found = 1.0, list[str]()
    for line in lines:
        chance = _CHANCE.search(line)
        if chance is not None:
            share = left * float(chance[1])
            left -= share
            found.append(_CHANCE.sub("", line) + f" (share {share:.4f})")
        elif " -j KUBE-SEP-" in line and " -m " not in line:
            found.append(f"{line} (share {left:.4f})")
        else:
            found.append(line)
    return tuple(found)


def _nft_line(line: str) -> str:
    plain = _NFT_COMMENT.sub("", line)
    found = _CHOICES.search(plain)
    if found is None:
        return plain
    picks = sorted(item.partition(" : ")[2] for item in found[2].split(", "))
    return plain.replace(found[0], f"{found[1]} {{ {', '.join(picks)} }}")


def _services(text: str) -> dict[str, str]:
    """Chain -> the service that the comments of its rules, or its name, tell."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        said = _SERVICE.search(line)
        if said is not None and " -j " in line:
            for word in (line.split(" ", 2)[1], line.rpartition(" -j ")[2].split(" ")[0]):
                if re.match(r"KUBE-(SVC|SVL|SEP|EXT|FW)-", word):
                    found.setdefault(word, said[1])
        named = re.match(r"\t(chain|set|map) (\S+) \{", line)
        if named and (said := _NFT_SERVICE.search(named[2])):
            found[f"{named[1]} {named[2]}"] = said[1]
    return found
