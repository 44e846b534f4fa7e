"""Rules of anybody on a real node, as iptables-save prints them: what `iptables_rules` knows, and more.

Nothing is refused while reading. A match that is not understood raises UnknownRuleError when a packet asks for
it: a rule matters only where it lies on the packet's way, and where no other of its matches rules it out.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address

from testbed.proxy.iptables_rules import (
    Match,
    Rule,
    Surroundings,
    Target,
    matched,
    negated,
)
from testbed.proxy.packet import Packet, UnknownRuleError

GOTO = "goto"
"""Argument of a target that is a chain: its end is the end of the calling chain, too."""
UNREADABLE = "unreadable"
"""Argument of a target that needs one and has none that is understood."""
PASSING = frozenset(
    {
        "LOG",
        "NFLOG",
        "ULOG",
        "TRACE",
        "AUDIT",
        "TCPMSS",
        "CONNMARK",
        "CONNSECMARK",
        "SECMARK",
        "CT",
        "NOTRACK",
        "CHECKSUM",
        "SET",
        "TOS",
        "DSCP",
        "TTL",
        "HL",
        "CLASSIFY",
        "RATEEST",
        "LED",
    }
)
"""Targets behind which the packet goes on to the next rule, as far as service traffic is concerned."""
NO_TARGET = ""
"""A rule that only counts."""

_SAYS_NOTHING = frozenset(
    {
        "--comment",
        "--seconds",
        "--reap",
        "--rsource",
        "--rdest",
        "--random",
        "--set",
        "--name",
        "--mask",
    }
    | {"--probability", "--mode", "--every", "--packet"}
)
"""Options that ask nothing of the packet; those behind -j are the target's."""
_MODULES = frozenset(
    {
        "comment",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "icmp6",
        "conntrack",
        "state",
        "mark",
        "statistic",
        "recent",
        "addrtype",
        "set",
        "multiport",
        "physdev",
        "ipvs",
    }
)
_TARGET_ARGUMENTS = ("--to-destination", "--set-xmark")


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a tracer of anybody's rules needs beside them: the policies of built-in chains (table -> chain ->
    word), and the interfaces that the packet comes in by and leaves by, "" where they are not known.
    """

    policies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    in_interface: str = ""
    out_interface: str = ""


@dataclass(slots=True)
class _Option:
    name: str
    words: list[str]
    negated: bool

    @property
    def value(self) -> str:
        return " ".join(self.words)

    def __str__(self) -> str:
        return f"{'! ' if self.negated else ''}{self.name} {self.value}".rstrip()


def read_rule(text: str) -> Rule:
    """A rule of the form `-A CHAIN …`, whatever it says."""
    options = _options(text)
    ends = (at for at, option in enumerate(options) if option.name in {"-j", "-g"})
    end = next(ends, len(options))
    asked = {option.name: option for option in options[:end]}
    matches = (_match(option, asked) for option in options[:end])
    return Rule(
        text=text,
        matches=tuple([match for match in matches if match is not None]),
        probability=_probability(asked),
        remember=asked["--name"].value if {"--set", "--name"} <= set(asked) else "",
        target=_target({option.name: option for option in options[end:]}),
    )


def policies_of(text: str) -> dict[str, dict[str, str]]:
    """Table -> built-in chain -> policy, of what iptables-save printed."""
    found: dict[str, dict[str, str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            chain, policy, *_ = [*line[1:].split(), "-"]
            if policy != "-":
                found.setdefault(table, {})[chain] = policy
    return found


def _options(text: str) -> list[_Option]:
    options: list[_Option] = []
    is_negated = False
    for word in shlex.split(text)[2:]:
        if word == "!":
            is_negated = True
        elif word.startswith("-") and not (options and _takes_dash(options[-1], word)):
            options.append(_Option(word, [], is_negated))
            is_negated = False
        elif options:
            options[-1].words.append(word)
            # The old spelling: -s ! 10.0.0.0/8.
            options[-1].negated = options[-1].negated or is_negated
            is_negated = False
    return options


def _takes_dash(option: _Option, word: str) -> bool:
    """A comment may begin with a dash."""
    return option.name == "--comment" and not option.words


def _probability(named: Mapping[str, _Option]) -> float:
    if "--every" in named:
        return 1.0 / int(named["--every"].value)
    return float(named["--probability"].value) if "--probability" in named else 1.0


def _target(named: Mapping[str, _Option]) -> Target:
    if "-g" in named:
        return Target(named["-g"].value, GOTO)
    name = named["-j"].value if "-j" in named else NO_TARGET
    if name == "SNAT":
        return Target("MASQUERADE")
    argument = next((named[one].value for one in _TARGET_ARGUMENTS if one in named), "")
    if (name in {"MARK", "DNAT"} and not argument) or (name == "DNAT" and "-" in argument):
        return Target(name, UNREADABLE)
    return Target(name, argument)


def _match(option: _Option, named: Mapping[str, _Option]) -> Match | None:
    """The test that an option stands for; None where it tests nothing."""
    name = option.name
    if name in _SAYS_NOTHING:
        return None
    if name == "-m":
        return None if option.value in _MODULES else _unknown(option)
    match = _known(option, named)
    if match is None:
        return _unknown(option)
    return negated(match) if option.negated else match


def _known(option: _Option, named: Mapping[str, _Option]) -> Match | None:
    name, value = option.name, option.value
    if name in {"--rcheck", "--update"} and "--name" in named:
        wanted = named["--name"].value
        return lambda packet, around: wanted in around.recent
    read = _MATCHES.get(name)
    try:
        return read(value) if read is not None else matched(name, value)
    except (ValueError, UnknownRuleError):
        return None


def _unknown(option: _Option) -> Match:
    def match(packet: Packet, around: Surroundings) -> bool:
        raise UnknownRuleError(f"{option} is not understood")

    return match


def _ports(value: str) -> Match:
    spans = []
    for item in value.split(","):
        low, colon, high = item.partition(":")
        spans.append((int(low or 0), int(high or 65535) if colon else int(low)))
    return lambda packet, around: any(low <= packet.dport <= high for low, high in spans)


def _protocol(value: str) -> Match:
    if value in {"all", "0"}:
        return lambda packet, around: True
    names = {"6": "tcp", "17": "udp", "132": "sctp"}
    return lambda packet, around: packet.protocol == names.get(value, value)


def _states(value: str) -> Match:
    states = set(value.split(","))
    return lambda packet, around: "NEW" in states or ("DNAT" in states and packet.translated)


def _tcp_flags(value: str) -> Match:
    mask, wanted = (set(part.split(",")) for part in value.split())
    seen = {"SYN"} if "ALL" in mask else mask & {"SYN"}
    return lambda packet, around: packet.protocol == "tcp" and seen == wanted - {"NONE"}


def _address_type(source: bool) -> Callable[[str], Match]:
    def read(value: str) -> Match:
        if value not in {"LOCAL", "BROADCAST", "MULTICAST"}:
            raise UnknownRuleError(value)
        # No service packet is a broadcast.

        def match(packet: Packet, around: Surroundings) -> bool:
            ip = packet.src if source else packet.dst
            if value == "LOCAL":
                return around.is_local(ip)
            return value == "MULTICAST" and ip_address(ip).is_multicast

        return match

    return read


def _interface(incoming: bool) -> Callable[[str], Match]:
    def read(value: str) -> Match:
        pattern = f"{value[:-1]}*" if value.endswith("+") else value

        def match(packet: Packet, around: Surroundings) -> bool:
            here = around.in_interface if incoming else around.out_interface
            if here:
                return fnmatchcase(here, pattern)
            if value == "lo":
                return not incoming and around.is_local(packet.dst)
            which, option = ("in", "-i") if incoming else ("out", "-o")
            raise UnknownRuleError(
                f"{option} {value}: which interface the packet goes {which} by is not known"
            )

        return match

    return read


_MATCHES: Mapping[str, Callable[[str], Match]] = {
    "-i": _interface(True),
    "-o": _interface(False),
    "-p": _protocol,
    "--dport": _ports,
    "--dports": _ports,
    "--ctstate": _states,
    "--state": _states,
    "--tcp-flags": _tcp_flags,
    "--syn": lambda value: lambda packet, around: packet.protocol == "tcp",
    "--icmp-type": lambda value: lambda packet, around: False,
    "--icmpv6-type": lambda value: lambda packet, around: False,
    "--dst-type": _address_type(False),
    "--src-type": _address_type(True),
    "--physdev-is-bridged": lambda value: lambda packet, around: False,
}
