"""One iptables rule, understood: its matches and its target. Whatever it does not know, it refuses.

It knows exactly what the proxy writes, in the spelling of iptables-save and of kube-proxy.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network

from testbed.proxy.packet import Packet, UnknownRuleError, is_loopback


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a match may ask beside the packet."""

    local_ips: frozenset[str]
    recent: frozenset[str] = frozenset()
    """Lists of the `recent` match that hold the packet's source already, none of them too old."""
    sets: Mapping[str, Callable[[tuple[str, ...], str], bool]] = field(default_factory=dict)
    """ipsets by name: whether a set holds addresses (one per direction asked for) and a `tcp:80`."""
    served: tuple[str, str, int] | None = None
    """(protocol, ip, port) of the IPVS virtual server that has picked the packet's destination."""
    in_interface: str = ""
    """"" where it is not known; so `out_interface`."""
    out_interface: str = ""

    def is_local(self, ip: str) -> bool:
        return ip in self.local_ips or is_loopback(ip)


Match = Callable[[Packet, Surroundings], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule does: its name (a chain's, too) and its one argument."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """`probability` is the share of the packets that match otherwise; `remember` a list to enter."""

    text: str
    matches: tuple[Match, ...]
    probability: float
    remember: str
    target: Target

    def applies(self, packet: Packet, around: Surroundings) -> float:
        """The probability that the packet matches. Raises UnknownRuleError where a match that is not understood
        decides.
        """
        unknown: UnknownRuleError | None = None
        for match in self.matches:
            try:
                if not match(packet, around):
                    return 0.0
            except UnknownRuleError as error:
                unknown = unknown or error
        if unknown is not None:
            raise unknown
        return self.probability


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    value: str
    negated: bool


_MODULES = frozenset(
    {
        "comment",
        "tcp",
        "udp",
        "sctp",
        "conntrack",
        "mark",
        "statistic",
        "recent",
        "addrtype",
        "set",
        "ipvs",
        "physdev",
    }
)
_FLAGS = frozenset(
    {"--set", "--rcheck", "--reap", "--rsource", "--random-fully", "--physdev-is-in"}
)
_SAYS_NOTHING = frozenset({"--comment", "--seconds", "--reap", "--rsource", "--random-fully"})
_NEGATABLE = frozenset({"-s", "-d", "--mark", "--ctstate", "--src-type", "--physdev-is-in"})
_FIXED_VALUES = {
    "--mode": frozenset({"random"}),
    "--mask": frozenset({"255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}),
    "--reject-with": frozenset({"icmp-port-unreachable", "icmp6-port-unreachable"}),
}
_TARGET_ARGUMENT = {"DNAT": "--to-destination", "MARK": "--set-xmark"}
TERMINAL = frozenset({"ACCEPT", "DROP", "REJECT", "DNAT", "MASQUERADE"})


@lru_cache(maxsize=1 << 16)
def parse_rule(text: str) -> Rule:
    """A rule of the form `-A CHAIN …`. Raises UnknownRuleError.

    Nodes of a lab, and one state and the next, have most rules in common: each is read once.
    """
    options = _options(text)
    target = _target(text, options)
    named = {option.name: option.value for option in options}
    matches: list[Match] = []
    for option in options:
        match = _match(text, option, named)
        if match is not None:
            matches.append(negated(match) if option.negated else match)
    return Rule(
        text=text,
        matches=tuple(matches),
        probability=float(named.get("--probability", "1")),
        remember=named["--name"] if "--set" in named else "",
        target=target,
    )


def _options(text: str) -> list[_Option]:
    words = iter(shlex.split(text)[2:])
    options: list[_Option] = []
    for word in words:
        negated = word == "!"
        name = next(words, "") if negated else word
        if not name.startswith("-") or (negated and name not in _NEGATABLE):
            raise UnknownRuleError(f"{name!r} is not understood in {text!r}")
        value = "" if name in _FLAGS else next(words, "")
        if name == "--match-set":
            value = f"{value} {next(words, '')}"
        options.append(_Option(name, value, negated))
    return options


def _target(text: str, options: list[_Option]) -> Target:
    named = {option.name: option.value for option in options}
    name = named.get("-j", "")
    if not name:
        raise UnknownRuleError(f"no target in {text!r}")
    if "--xor-mark" in named:
        return Target(name, f"{named['--xor-mark']}/0x0")
    if "--or-mark" in named:
        return Target(name, f"{named['--or-mark']}/{named['--or-mark']}")
    argument = _TARGET_ARGUMENT.get(name)
    if argument is None:
        return Target(name)
    if argument not in named:
        raise UnknownRuleError(f"{name} without {argument} in {text!r}")
    return Target(name, named[argument])


def negated(match: Match) -> Match:
    """The opposite test."""
    return lambda packet, around: not match(packet, around)


def _match(text: str, option: _Option, named: dict[str, str]) -> Match | None:
    """The test that an option stands for; None where it tests nothing by itself."""
    name, value = option.name, option.value
    if name in _MATCHES:
        return _MATCHES[name](value)
    if name == "--name":
        return _recent(text, value, named)
    if name in _FIXED_VALUES:
        understood = value in _FIXED_VALUES[name]
    elif name == "-m":
        understood = value in _MODULES
    else:
        understood = name in _SAYS_NOTHING or name in _ELSEWHERE
    if not understood:
        raise UnknownRuleError(f"{name} {value} is not understood in {text!r}")
    return None


_ELSEWHERE = frozenset(
    {
        "-j",
        "--probability",
        "--set",
        "--rcheck",
        "--to-destination",
        "--set-xmark",
        "--xor-mark",
        "--or-mark",
    }
)
"""Options that become the rule's probability, its list or its target."""


def matched(name: str, value: str) -> Match | None:
    """The test that one option stands for by itself; None where there is none of that name. Raises
    UnknownRuleError, ValueError for a value.
    """
    return _MATCHES[name](value) if name in _MATCHES else None


def _recent(text: str, name: str, named: dict[str, str]) -> Match | None:
    if "--set" in named:
        return None
    if "--rcheck" not in named:
        raise UnknownRuleError(f"neither --set nor --rcheck with --name in {text!r}")
    return lambda packet, around: name in around.recent


def _source(value: str) -> Match:
    network = ip_network(value)
    return lambda packet, around: ip_address(packet.src) in network


def _destination(value: str) -> Match:
    network = ip_network(value)
    return lambda packet, around: ip_address(packet.dst) in network


def _protocol(value: str) -> Match:
    return lambda packet, around: packet.protocol == value


def _dport(value: str) -> Match:
    port = int(value)
    return lambda packet, around: packet.dport == port


def _mark(value: str) -> Match:
    wanted, _, mask = value.partition("/")
    bits, masked = int(wanted, 16), int(mask or "0xffffffff", 16)
    return lambda packet, around: packet.mark & masked == bits


def _ctstate(value: str) -> Match:
    states = set(value.split(","))
    unknown = states - {"NEW", "INVALID", "RELATED", "ESTABLISHED", "DNAT"}
    if unknown:
        raise UnknownRuleError(f"connection states {', '.join(sorted(unknown))} are not understood")
    return lambda packet, around: "NEW" in states or ("DNAT" in states and packet.translated)


def _dst_type(value: str) -> Match:
    _only_local(value)
    return lambda packet, around: around.is_local(packet.dst)


def _src_type(value: str) -> Match:
    _only_local(value)
    return lambda packet, around: around.is_local(packet.src)


def _only_local(value: str) -> None:
    if value != "LOCAL":
        raise UnknownRuleError(f"address type {value} is not understood")


def _match_set(value: str) -> Match:
    """`NAME dst,dst,src`: the first direction is an address, the second a port, the third an address."""
    name, _, directions = value.partition(" ")
    known = {"dst", "dst,dst", "src,dst", "dst,dst,src"}
    if directions not in known:
        raise UnknownRuleError(f"set directions {directions} are not understood")
    sides = directions.split(",")
    del sides[1:2]

    def matches(packet: Packet, around: Surroundings) -> bool:
        if name not in around.sets:
            raise UnknownRuleError(f"there is no set {name}")
        ips = tuple(packet.dst if side == "dst" else packet.src for side in sides)
        return around.sets[name](ips, f"{packet.protocol}:{packet.dport}")

    return matches


def _physdev_is_in(value: str) -> Match:
    """Never: pods hang on routed links, and no node has a bridge."""
    return lambda packet, around: False


_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp"}


def _vproto(value: str) -> Match:
    if value not in _PROTOCOLS:
        raise UnknownRuleError(f"protocol {value} of ipvs is not understood")
    return lambda packet, around: (
        around.served is not None and (around.served[0] == _PROTOCOLS[value])
    )


def _vaddr(value: str) -> Match:
    return lambda packet, around: around.served is not None and around.served[1] == value


def _vport(value: str) -> Match:
    return lambda packet, around: around.served is not None and str(around.served[2]) == value


_MATCHES: dict[str, Callable[[str], Match]] = {
    "-s": _source,
    "-d": _destination,
    "-p": _protocol,
    "--dport": _dport,
    "--mark": _mark,
    "--ctstate": _ctstate,
    "--dst-type": _dst_type,
    "--src-type": _src_type,
    "--match-set": _match_set,
    "--physdev-is-in": _physdev_is_in,
    "--vproto": _vproto,
    "--vaddr": _vaddr,
    "--vport": _vport,
}
