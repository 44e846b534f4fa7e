"""The rules that one packet met on a node, out of all that the kernel told: each as its tool writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.packets.decode import Packet
from testbed.proxy.iptables_restore import parse_tables, planned_spelling
from testbed.proxy.nftables_listing import planned_spelling as planned_nft
from testbed.trace.marking import COMMENT, TABLE
from testbed.trace.rule_events import Hit
from testbed.trace.tools import IPTABLES_NFT, NFT, Tool, iptables_part

_HANDLED = re.compile(r"\t\t(.*) # handle (\d+)$")
_COUNTED = re.compile(r"\[(\d+):\d+\] (-A .*)")
_TABLE_HEAD = re.compile(r"table \S+ (\S+) \{")
_CHAIN_HEAD = re.compile(r"\tchain (\S+) \{")


@dataclass(frozen=True, slots=True)
class Met:
    """A rule that the packet met, as `rule`; `packet` is as the table's first chain saw it."""

    table: str
    chain: str
    rule: str
    verdict: str
    packet: Packet | None

    @property
    def probability(self) -> float:
        """With which the packet took this rule rather than the next ones: 1 where there is no chance in it."""
        found = re.search(r"--probability ([\d.]+)|numgen random mod (\d+)", self.rule)
        if found is None:
            return 1.0
        return float(found[1]) if found[1] else 1.0 / int(found[2])


NO_RULE = ""
"""What is told and is no rule of the node's: one that is there for the trace only, the end of a chain."""
Spell = Callable[[Hit], str | None]
"""A hit's rule as text; None: the rules have changed since they were read."""


def met(hits: Sequence[Hit], ours: Callable[[Packet], bool], spell: Spell) -> list[Met]:
    """What the packet that is `ours` met, in order; what was sent again is left out."""
    found: list[Met] = []
    for group in _groups(hits, ours):
        packet: Packet | None = None
        for hit in group:
            packet = hit.packet or packet
            if hit.table == TABLE or not _is_telling(hit):
                continue
            rule = spell(hit)
            if rule is None:
                rule = f"(a rule that is new: {hit.table} {hit.chain} {hit.handle or hit.number})"
            if rule != NO_RULE:
                found.append(Met(hit.table, hit.chain, rule, hit.verdict, packet))
    return found


def counted(before: str, after: str) -> list[Met]:
    """The rules whose counters rose, table by table: all that a kernel says which does not tell of packets.

    Packets of others count, too, and a rule that was written meanwhile begins at 0.
    """
    earlier = dict(_counters(before))
    found: list[Met] = []
    for (table, rule), packets in _counters(after):
        if packets > earlier.get((table, rule), 0) and COMMENT not in rule:
            found.append(Met(table, rule.split(" ", 2)[1], rule, "", None))
    return found


def _counters(text: str) -> Iterator[tuple[tuple[str, str], int]]:
    """(table, rule) and its packets, of `iptables-save -c`."""
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif found := _COUNTED.match(line):
            yield (table, planned_spelling(found[2])), int(found[1])


def _is_telling(hit: Hit) -> bool:
    """nf_tables tells the end of a chain as a rule without a number; a policy matters where it drops."""
    if hit.kind == "policy":
        return hit.verdict == "drop"
    return bool(hit.handle or hit.number)


def _groups(hits: Sequence[Hit], ours: Callable[[Packet], bool]) -> list[list[Hit]]:
    """The hits of each time that our packet entered the node's stack."""
    return _numbered_groups(hits, ours) if any(h.packet_id for h in hits) else _logged(hits, ours)


def _numbered_groups(hits: Sequence[Hit], ours: Callable[[Packet], bool]) -> list[list[Hit]]:
    """Of nf_tables, which numbers packets; a number may come again."""
    groups: list[list[Hit]] = []
    current: dict[int, list[Hit]] = {}
    seen: set[object] = set()
    for hit in hits:
        if hit.table == TABLE and hit.packet is not None:
            current.pop(hit.packet_id, None)
            entrance = (hit.chain, _key(hit.packet))
            if ours(hit.packet) and entrance not in seen:
                seen.add(entrance)
                groups.append([])
                current[hit.packet_id] = groups[-1]
        if hit.packet_id in current:
            current[hit.packet_id].append(hit)
    return groups


def _logged(hits: Sequence[Hit], ours: Callable[[Packet], bool]) -> list[list[Hit]]:
    """Of iptables-legacy, which tells the packet with each rule; table raw is where it enters."""
    groups: list[list[Hit]] = []
    seen: set[object] = set()
    entering = taking = False
    for hit in hits:
        if hit.packet is None or not ours(hit.packet):
            continue
        if hit.table == "raw" and not entering:
            entrance = (hit.chain, _key(hit.packet))
            taking = entrance not in seen
            seen.add(entrance)
            groups.append([])
        entering = hit.table == "raw"
        if taking and groups:
            groups[-1].append(hit)
    return groups


def _key(packet: Packet | None) -> object:
    if packet is None:
        return None
    return packet.protocol, packet.src, packet.sport, packet.dst, packet.dport


def speller(tool: Tool, rules: str, handles: str, marks: int = 0) -> Spell:
    """Reads hits by the texts that the tool printed: its own, and nft's with every rule's handle.

    `marks` is how many rules of the trace's own head the chains of iptables-legacy's table raw.
    """
    if tool == NFT:
        numbered = _numbered(handles)
        return lambda hit: _of_handle(numbered, hit, planned_nft)
    tables = {
        table: {chain: [planned_spelling(one) for one in lines] for chain, lines in chains.items()}
        for table, chains in parse_tables(iptables_part(rules)).items()
    }
    if tool != IPTABLES_NFT:
        return lambda hit: _of_number(
            tables, hit, hit.number - (marks if hit.table == "raw" else 0)
        )
    places = {
        key: {handle: place for place, (handle, _) in enumerate(found, 1)}
        for key, found in _listed(handles).items()
    }
    return lambda hit: _of_number(
        tables, hit, places.get((hit.table, hit.chain), {}).get(hit.handle, 0)
    )


def _of_number(tables: Mapping[str, Mapping[str, list[str]]], hit: Hit, number: int) -> str | None:
    if hit.kind == "policy":
        return f"policy {hit.verdict} of {hit.chain}"
    if number <= 0:
        return NO_RULE if hit.table == "raw" else None
    chain = tables.get(hit.table, {}).get(hit.chain, [])
    if number > len(chain):
        return NO_RULE if hit.kind == "return" else None
    return chain[number - 1]


def _of_handle(
    numbered: Mapping[tuple[str, str, int], str], hit: Hit, planned: Callable[[str], str]
) -> str | None:
    if hit.kind == "policy":
        return f"policy {hit.verdict} of {hit.chain}"
    text = numbered.get((hit.table, hit.chain, hit.handle))
    return None if text is None else planned(text)


def _numbered(listing: str) -> dict[tuple[str, str, int], str]:
    return {
        (*key, handle): text for key, found in _listed(listing).items() for handle, text in found
    }


def _listed(listing: str) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """(table, chain) -> (handle, rule) in order, out of `nft -a list ruleset`."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    table = chain = ""
    for line in listing.splitlines():
        if head := _TABLE_HEAD.match(line):
            table = head[1]
        elif head := _CHAIN_HEAD.match(line):
            chain = head[1]
            found[table, chain] = []
        elif line == "\t}":
            chain = ""
        elif chain and (rule := _HANDLED.match(line)):
            found[table, chain].append((int(rule[2]), rule[1]))
    return found
