"""Tables of anybody on a real node, as `nft list ruleset` prints them, beside the proxy's own.

Nothing is refused while reading: from the first statement of a rule that is not understood on, the rule raises
UnknownRuleError when a packet has passed what stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

from testbed.proxy import nft_rules
from testbed.proxy.nft_rules import Around, Effect, Match, Rule, Verdict, field_of
from testbed.proxy.nftables_listing import planned_spelling
from testbed.proxy.packet import Packet, UnknownRuleError, split_host_port

_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_BASE = re.compile(
    r"type (?P<kind>filter|nat|route) hook (?P<hook>\w+)"
    r" priority (?P<base>-?\w+)(?: (?P<sign>[+-]) (?P<more>\d+))?;"
    r"(?: policy (?P<policy>accept|drop);)?"
)
_ELEMENTS = "elements = {"
_BLOCK = re.compile(r"\t(chain|set|map) (\S+) \{")
_HANDLE = re.compile(r" # handle \d+$")


@dataclass(frozen=True, slots=True)
class Base:
    """Where a base chain stands; `policy` is what becomes of a packet at its end."""

    hook: str
    priority: int
    kind: str
    policy: str


@dataclass(frozen=True, slots=True)
class ForeignTables:
    """Chains under names that no other table has, their bases, and what `nft_rules.Around` calls sets."""

    chains: Mapping[str, tuple[Rule, ...]]
    bases: Mapping[str, Base]


def read_tables(tables: Mapping[str, Iterable[str]], family: int) -> ForeignTables:
    """Tables (`ip nat` -> its lines) that see packets of an IP family."""
    seen = {"inet", "ip6" if family == 6 else "ip"}
    chains: dict[str, tuple[Rule, ...]] = {}
    bases: dict[str, Base] = {}
    for head, lines in tables.items():
        if head.split()[0] not in seen:
            continue
        blocks = _blocks(lines)
        reader = _Reader(head.replace(" ", "/"), _sets(blocks))
        for (kind, name), content in blocks.items():
            if kind != "chain":
                continue
            where = reader.qualified(name)
            base = base_of(content[0]) if content and content[0].startswith("type ") else None
            if base is not None:
                bases[where] = base
            rules = map(planned_spelling, content[base is not None :])
            chains[where] = tuple(reader.rule(line, where) for line in rules)
    return ForeignTables(chains, bases)


def base_of(line: str) -> Base | None:
    """A base chain's declaration; None where it is not understood (an ingress chain)."""
    found = _BASE.match(line)
    if found is None:
        return None
    word = found["base"]
    start = _PRIORITIES[word] if word in _PRIORITIES else int(word)
    more = int(found["more"] or 0) * (-1 if found["sign"] == "-" else 1)
    return Base(found["hook"], start + more, found["kind"], found["policy"] or "accept")


def _blocks(lines: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    blocks: dict[tuple[str, str], list[str]] = {}
    content: list[str] = []
    for line in lines:
        opened = _BLOCK.match(line)
        if opened:
            content = blocks.setdefault((opened[1], opened[2]), [])
        elif line.startswith("\t\t") and line.strip() and not line.strip().startswith("#"):
            content.append(_HANDLE.sub("", line.strip()))
    return blocks


def _sets(blocks: Mapping[tuple[str, str], list[str]]) -> dict[str, tuple[str, ...]]:
    """The elements of each set."""
    found: dict[str, tuple[str, ...]] = {}
    for (kind, name), content in blocks.items():
        if kind == "set":
            _, _, listed = " ".join(content).partition(_ELEMENTS)
            items = listed.partition("}")[0].split(",")
            found[name] = tuple(item.strip().split(" ")[0] for item in items if item.strip())
    return found


class _Reader:
    """Reads the rules of one table."""

    def __init__(self, table: str, sets: Mapping[str, tuple[str, ...]]) -> None:
        self._table = table
        self._sets = sets

    def qualified(self, chain: str) -> str:
        return f"{self._table}|{chain}"

    def rule(self, text: str, where: str) -> Rule:
        matches: list[Match] = []
        effects: list[Effect] = []
        rest = text
        while rest and not rest.startswith('comment "'):
            found = self._statement(rest)
            if found is None:
                matches.append(_unknown(rest, text, where))
                break
            statement, length = found
            rest = rest[length:].lstrip()
            if isinstance(statement, Match):
                matches.append(statement)
            elif statement is not None:
                effects.append(statement)
        return Rule(text, tuple(matches), tuple(effects))

    def _statement(self, rest: str) -> tuple[Match | Effect | None, int] | None:
        """The first statement and its length; the statement is None where it changes nothing. None: it is not
        understood.
        """
        jump = re.match(r"(jump|goto) (\S+)", rest)
        if jump:
            return Verdict(f"{jump[1]} {self.qualified(jump[2])}"), jump.end()
        in_set = re.match(r"(ip6? [sd]addr) (!= )?@(\S+)", rest)
        if in_set and in_set[3] in self._sets:
            items = self._sets[in_set[3]]
            return _among(field_of(in_set[1]), items, not in_set[2]), in_set.end()
        for pattern, read in _STATEMENTS:
            found = pattern.match(rest)
            if found:
                try:
                    return read(found), found.end()
                except (ValueError, KeyError):
                    return None
        return None


def _unknown(rest: str, text: str, where: str) -> Match:
    def test(packet: Packet, around: Around) -> bool:
        raise UnknownRuleError(f"{rest!r} is not understood in {text!r} of {where}")

    return Match(test)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip().strip('"') for item in text.strip("{} ").split(",") if item.strip())


def _among(read: Callable[[Packet], str], items: tuple[str, ...], wanted: bool) -> Match:
    return Match(lambda packet, around: any(_is_in(read(packet), one) for one in items) == wanted)


def _is_in(value: str, item: str) -> bool:
    """Whether an address or a port is in a network, a range, or is it."""
    if "-" in item:
        low, _, high = item.partition("-")
        if value.isdigit():
            return int(low) <= int(value) <= int(high)
        ip, first, last = ip_address(value), ip_address(low), ip_address(high)
        return ip.version == first.version and int(first) <= int(ip) <= int(last)
    if "/" in item:
        return ip_address(value) in ip_network(item)
    return value == item


def _field(found: re.Match[str]) -> Match:
    """`ip saddr`, `tcp dport`, … against one value or several."""
    items = _listed(found["items"])
    kind, name = found["field"].split()
    wanted = not found["no"]
    if name in {"dport", "sport"}:
        if name == "sport":
            raise ValueError(name)
        protocols = {"th": {"tcp", "udp", "sctp"}}.get(kind, {kind})
        return Match(
            lambda packet, around: (
                packet.protocol in protocols
                and any(_is_in(str(packet.dport), one) for one in items) == wanted
            )
        )
    family = 6 if kind == "ip6" else 4
    test = _among(field_of(found["field"]), items, wanted)
    return Match(
        lambda packet, around: (
            ip_address(packet.dst).version == family and test.test(packet, around)
        )
    )


def _protocol(found: re.Match[str]) -> Match:
    items, wanted = _listed(found["items"]), not found["no"]
    return Match(lambda packet, around: (packet.protocol in items) == wanted)


def _ct_state(found: re.Match[str]) -> Match:
    items, wanted = _listed(found["items"]), not found["no"]
    return Match(lambda packet, around: ("new" in items) == wanted)


def _ct_state_map(found: re.Match[str]) -> Verdict | None:
    pairs = dict(item.split(" : ") for item in _listed(found["items"]))
    return Verdict(pairs["new"]) if "new" in pairs else None


def _interface(found: re.Match[str]) -> Match:
    incoming, wanted = found["which"] == "i", not found["no"]
    items = _listed(found["items"])

    def test(packet: Packet, around: Around) -> bool:
        here = around.in_interface if incoming else around.out_interface
        if not here:
            if items == ("lo",):
                here = "lo" if not incoming and around.is_local(packet.dst) else "other"
            else:
                which = "in" if incoming else "out"
                raise UnknownRuleError(
                    f"{found[0]}: which interface the packet goes {which} by is not known"
                )
        return any(fnmatchcase(here, one) for one in items) == wanted

    return Match(test)


def _mark(found: re.Match[str]) -> Match:
    mask = int(found["mask"] or "0xffffffff", 0)
    value, wanted = int(found["value"], 0), found["how"] != "!= "
    return Match(lambda packet, around: (packet.mark & mask == value) == wanted)


def _redirect(found: re.Match[str]) -> nft_rules.Translate:
    return nft_rules.Translate((split_host_port(found["target"]),))


_ITEMS = r"(?P<no>!= )?(?P<items>\{[^}]*\}|\S+)"
_Read = Callable[[re.Match[str]], Match | Effect | None]
_SELF = tuple(
    (re.compile(pattern + r"(?=[ ]|$)"), read)
    for pattern, read in (
        (r"counter(?: packets \d+ bytes \d+)?", lambda found: None),
        (r'log(?: prefix "[^"]*"| level \w+| flags \w+(?: \w+)?| group \d+)*', lambda found: None),
        (r"ct state vmap (?P<items>\{[^}]*\})", _ct_state_map),
        (rf"ct state {_ITEMS}", _ct_state),
        (r"meta nfproto ipv[46]", lambda found: None),
        (rf"(?:meta l4proto|ip protocol|ip6 nexthdr) {_ITEMS}", _protocol),
        (rf"(?P<field>ip6? [sd]addr|(?:tcp|udp|sctp|th) [sd]port) {_ITEMS}", _field),
        (rf"(?P<which>[io])if(?:name)? {_ITEMS}", _interface),
        (rf"icmp(?:v6)? (?:type|code) {_ITEMS}", lambda found: Match(lambda packet, around: False)),
        (
            r"meta mark (?:& (?P<mask>0x[0-9a-f]+) )?(?P<how>== |!= )?(?P<value>0x[0-9a-f]+)",
            _mark,
        ),
        (
            r"meta mark set (?P<value>0x[0-9a-f]+)",
            lambda found: nft_rules.Mark(0, int(found["value"], 0)),
        ),
        (r"dnat (?:ip6? )?to (?P<target>[0-9a-f.:\[\]]+:\d+)", _redirect),
        (
            r"masquerade(?: random| fully-random| persistent)*|snat (?:ip6? )?to \S+",
            lambda found: nft_rules.Masquerade(),
        ),
        (r"reject(?: with .*)?", lambda found: Verdict("reject")),
        (r"continue", lambda found: None),
        (r"(?:accept|drop|return)", lambda found: Verdict(found[0])),
    )
)
_STATEMENTS: tuple[tuple[re.Pattern[str], _Read], ...] = (
    *_SELF,
    *((pattern, read) for pattern, read in nft_rules.STATEMENTS if "@" not in pattern.pattern),
)
