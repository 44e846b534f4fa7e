"""One nftables rule, understood: what it asks and does, statement by statement. Whatever it does not know,
it refuses.

It knows exactly what the proxy writes, in the proxy's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from testbed.proxy.packet import Packet, UnknownRuleError, is_loopback, split_host_port


@dataclass(frozen=True, slots=True)
class Around:
    """What a rule may ask beside the packet. `sets` by name, `recent` the dynamic ones that hold its source."""

    local_ips: frozenset[str]
    sets: Mapping[str, frozenset[str]]
    recent: frozenset[str] = frozenset()
    in_interface: str = ""
    """"" where it is not known; so `out_interface`."""
    out_interface: str = ""

    def is_local(self, ip: str) -> bool:
        return ip in self.local_ips or is_loopback(ip)


@dataclass(frozen=True, slots=True)
class Match:
    """Goes on where the packet is such a one."""

    test: Callable[[Packet, Around], bool]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Takes the verdict that a map has for the packet; goes on where it has none."""

    key: Callable[[Packet], str]
    map: str


@dataclass(frozen=True, slots=True)
class Pick:
    """Takes one of so many verdicts, each as likely as the others."""

    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Translate:
    """Sends the packet to one of so many (ip, port), each as likely as the others."""

    targets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """mark' = (mark & keep) ^ flip."""

    keep: int
    flip: int


@dataclass(frozen=True, slots=True)
class Remember:
    """Puts the packet's source into a dynamic set."""

    set: str


@dataclass(frozen=True, slots=True)
class Masquerade:
    """The packet leaves with an address of the node."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`drop`, `reject`, `goto CHAIN`, `jump CHAIN`."""

    text: str


Effect = Dispatch | Pick | Translate | Mark | Remember | Masquerade | Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """What a packet has to be, then what happens to it, in order."""

    text: str
    matches: tuple[Match, ...]
    effects: tuple[Effect, ...]


_EVERY_BIT = 0xFFFFFFFF
_COMMENT = re.compile(r'comment "[^"]*"')
_NETWORK = r"[0-9a-f.:/]+"
_FIELD = r"(?:ip6? [sd]addr|meta l4proto|th dport)"
_NAME = r"[^\s{}@]+"

_Read = Callable[[re.Match[str]], Match | Effect]


def parse_rule(text: str) -> Rule:
    """A rule as it stands in its chain. Raises UnknownRuleError."""
    matches: list[Match] = []
    effects: list[Effect] = []
    rest = text
    while rest and not _COMMENT.fullmatch(rest):
        statement, length = _statement(rest, text)
        rest = rest[length:].lstrip()
        if not isinstance(statement, Match):
            effects.append(statement)
        elif effects:
            raise UnknownRuleError(f"{text!r} asks after it has acted")
        else:
            matches.append(statement)
    if any(isinstance(one, Dispatch) for one in effects[1:]):
        raise UnknownRuleError(f"{text!r} looks a verdict up after it has acted")
    if not effects:
        raise UnknownRuleError(f"{text!r} does nothing")
    return Rule(text, tuple(matches), tuple(effects))


def _statement(rest: str, text: str) -> tuple[Match | Effect, int]:
    """The first statement of what is left of a rule, and how long it is."""
    for pattern, read in STATEMENTS:
        found = pattern.match(rest)
        if found:
            return read(found), found.end()
    raise UnknownRuleError(f"{rest!r} is not understood in {text!r}")


def field_of(field: str) -> Callable[[Packet], str]:
    """How a packet answers for one field of its headers."""
    read: dict[str, Callable[[Packet], str]] = {
        "saddr": lambda packet: packet.src,
        "daddr": lambda packet: packet.dst,
        "l4proto": lambda packet: packet.protocol,
        "dport": lambda packet: str(packet.dport),
    }
    return read[field.split()[1]]


def _key(fields: str) -> Callable[[Packet], str]:
    readers = [field_of(field) for field in fields.split(" . ")]
    return lambda packet: " . ".join([read(packet) for read in readers])


def _in_set(found: re.Match[str]) -> Match:
    key, name = _key(found["fields"]), found["set"]
    if name.startswith("affinity-"):
        if found["fields"].split()[-1] != "saddr":
            raise UnknownRuleError(f"the dynamic set {name} is asked for {found['fields']}")
        return Match(lambda packet, around: name in around.recent)

    def test(packet: Packet, around: Around) -> bool:
        if name not in around.sets:
            raise UnknownRuleError(f"there is no set {name}")
        return key(packet) in around.sets[name]

    return Match(test)


def _in_networks(found: re.Match[str]) -> Match:
    networks = [ip_network(text.strip()) for text in found["networks"].split(",")]
    read, wanted = field_of(found["field"]), not found["not"]
    return Match(
        lambda packet, around: any(ip_address(read(packet)) in net for net in networks) == wanted
    )


def _local(found: re.Match[str]) -> Match:
    read = field_of(f"fib {found['side']}addr")
    return Match(lambda packet, around: around.is_local(read(packet)))


def _choices(found: re.Match[str]) -> list[str]:
    """The values of a map whose keys are 0 to n-1, all that the generator may say."""
    pairs = [item.split(" : ", 1) for item in found["choices"].strip().split(", ")]
    if [key for key, _ in pairs] != [str(n) for n in range(int(found["n"]))]:
        raise UnknownRuleError(f"not every choice is there: {found[0]!r}")
    return [value for _, value in pairs]


def _translate(found: re.Match[str]) -> Translate:
    pairs = [value.split(" . ") for value in _choices(found)]
    return Translate(tuple([(ip, int(port)) for ip, port in pairs]))


def _masked(found: re.Match[str]) -> Match:
    bits = int(found["bits"], 16)
    return Match(lambda packet, around: packet.mark & bits != 0)


def _set_mark(found: re.Match[str]) -> Mark:
    bits = int(found["bits"], 16)
    return Mark(_EVERY_BIT & ~bits if found["how"] == "or" else _EVERY_BIT, bits)


STATEMENTS: tuple[tuple[re.Pattern[str], _Read], ...] = tuple(
    (re.compile(pattern + r"(?= |$)"), read)
    for pattern, read in (
        ("ct state new", lambda found: Match(lambda packet, around: True)),
        ("ct status dnat", lambda found: Match(lambda packet, around: packet.translated)),
        (r"mark and (?P<bits>0x[0-9a-f]+) != 0", _masked),
        (r"mark set mark (?P<how>or|xor) (?P<bits>0x[0-9a-f]+)", _set_mark),
        (
            rf"(?P<fields>{_FIELD}(?: \. {_FIELD})*) vmap @(?P<map>{_NAME})",
            lambda found: Dispatch(_key(found["fields"]), found["map"]),
        ),
        (rf"(?P<fields>{_FIELD}(?: \. {_FIELD})*) @(?P<set>{_NAME})", _in_set),
        (
            r"meta l4proto (?P<protocol>tcp|udp|sctp)",
            lambda found: Match(lambda packet, around: packet.protocol == found["protocol"]),
        ),
        (
            r"(?P<field>ip6? [sd]addr) (?P<not>!= )?"
            rf"(?:\{{ )?(?P<networks>{_NETWORK}(?:, {_NETWORK})*)(?: \}})?",
            _in_networks,
        ),
        (r"fib (?P<side>[sd])addr type local", _local),
        (
            r"numgen random mod (?P<n>\d+) vmap \{(?P<choices>[^{}]*)\}",
            lambda found: Pick(tuple(_choices(found))),
        ),
        (
            r"dnat ip6? addr \. port to numgen random mod (?P<n>\d+) map \{(?P<choices>[^{}]*)\}",
            _translate,
        ),
        (r"dnat to (?P<target>\S+)", lambda found: Translate((split_host_port(found["target"]),))),
        (rf"update @(?P<set>{_NAME}) \{{ ip6? saddr \}}", lambda found: Remember(found["set"])),
        ("masquerade fully-random", lambda found: Masquerade()),
        (rf"(?:goto|jump) {_NAME}|drop|reject|accept", lambda found: Verdict(found[0])),
    )
)
