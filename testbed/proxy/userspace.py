"""kube-proxy's first mode: rules lead every connection to a process on the node, which picks and copies.

Kubernetes removed it in 1.26. The plan has two halves: iptables rules (`userspace_rules`) and the table of the
process (`userspace_table`, section `userspace`). Listeners are set before rules lead to them, and closed
when none does any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from testbed.command import Command
from testbed.proxy import iptables_restore, userspace_table
from testbed.proxy.ruleset import Chains, Observed, Ruleset
from testbed.proxy.table import ForwardingTable, ServicePortEntry
from testbed.proxy.userspace_balancer import DEFAULT
from testbed.proxy.userspace_ports import listen_ports
from testbed.proxy.userspace_rules import (
    FROM_HOST,
    FROM_PODS,
    NODE_PORTS_FROM_HOST,
    NODE_PORTS_FROM_PODS,
    NON_LOCAL,
    REFUSED,
    Place,
    PortRules,
    listener_names,
    port_rules,
)
from testbed.proxy.userspace_table import PROCESS, SECTION

PROTOCOLS = frozenset({"tcp", "udp"})
"""What the process copies; kube-proxy's knew no more."""

_CLUSTER_IPS = (
    '-m comment --comment "handle ClusterIPs; NOTE: this must be before the NodePort rules"'
)
_NODE_PORTS = (
    "-m addrtype --dst-type LOCAL -m comment --comment"
    ' "handle service NodePorts; NOTE: this must be the last rule in the chain"'
)
_CAN_FLOW = '-m comment --comment "Ensure that non-local NodePort traffic can flow"'
_REFUSED_JUMP = f"-m conntrack --ctstate NEW -j {REFUSED}"

_NAT_JUMPS: Chains = {
    "PREROUTING": (
        f"-A PREROUTING {_CLUSTER_IPS} -j {FROM_PODS}",
        f"-A PREROUTING {_NODE_PORTS} -j {NODE_PORTS_FROM_PODS}",
    ),
    "OUTPUT": (
        f"-A OUTPUT {_CLUSTER_IPS} -j {FROM_HOST}",
        f"-A OUTPUT {_NODE_PORTS} -j {NODE_PORTS_FROM_HOST}",
    ),
}
_INPUT_JUMP = f"-A INPUT {_CAN_FLOW} -j {NON_LOCAL}"
_NOTHING: Chains = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Memo:
    place: Place
    rules: Mapping[int, tuple[tuple[int, ...], PortRules]]
    """By the identity of the entry, which the rules keep alive: its listeners' ports, and its rules."""


@dataclass(frozen=True, slots=True)
class UserspaceBackend:
    """The back end of `proxy.mode: userspace`; `max_rules_per_transaction` as in the iptables mode."""

    variant: Literal["nft", "legacy"]
    max_rules_per_transaction: int | None = None
    family: int = 4
    balancer: str = DEFAULT

    @property
    def name(self) -> str:
        return "userspace" if self.balancer == DEFAULT else f"userspace/{self.balancer}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"iptables-{self.variant}"})

    @property
    def sysctls(self) -> Mapping[str, str]:
        return {}

    def plan(self, table: ForwardingTable, previous: Ruleset | None = None) -> Ruleset:
        """The process's table and all rules of the node. A node without an address serves nothing yet."""
        entries = [entry for entry in table.ports if entry.protocol in PROTOCOLS]
        node_ip = next(iter(table.node_ips), "")
        place = Place(node_ip, table.config.cluster_cidr, table.config.documented)
        rules = _planned(entries if node_ip else [], place, previous)
        section = {
            listener.name: userspace_table.rules(listener)
            for _, one in rules.values()
            for listener in one.listeners
        }
        ports = [one for _, one in rules.values()]
        tables: dict[str, Chains] = {
            SECTION: dict(sorted(section.items())),
            "mangle": _NOTHING,
            "filter": _filter_table(ports, place.documented),
            "nat": _nat_table(ports),
        }
        return Ruleset(tables, _Memo(place, rules))

    def commands(self, have: Ruleset | None, want: Ruleset) -> list[Command]:
        """See `Backend.commands`: new listeners, rules, then old listeners away."""
        before = have.tables.get(SECTION, _NOTHING) if have else _NOTHING
        to_set, to_close = userspace_table.changes(before, want.tables[SECTION])
        commands = iptables_restore.commands(
            have and _rules_of(have),
            _rules_of(want),
            self._tool("restore"),
            self.max_rules_per_transaction,
        )
        if to_set:
            commands.insert(0, Command((PROCESS, "set"), userspace_table.saved(to_set)))
        if to_close:
            commands.append(Command((PROCESS, "close"), "".join(f"{one}\n" for one in to_close)))
        return commands

    def observe(self) -> Command:
        """The process's table, then what the rule tool prints."""
        return Command((PROCESS, "table", self._tool("save")))

    def parse(self, text: str) -> Observed:
        """See `Backend.parse`. Raises RuleSyntaxError."""
        table, _, rules = text.partition("COMMIT\n")
        section = iptables_restore.parse_tables(table).get(SECTION, {})
        seen = iptables_restore.parse_save(rules)
        own: dict[str, Chains] = {SECTION: {name: tuple(lines) for name, lines in section.items()}}
        own |= {name: seen.own.tables.get(name, _NOTHING) for name in iptables_restore.TABLE_ORDER}
        return Observed(Ruleset(own), seen.foreign)

    def rewrites(self, have: Ruleset | None, want: Ruleset) -> bool:
        """Never: there are five chains, however many services."""
        return False

    def _tool(self, what: str) -> str:
        return f"ip{'6' if self.family == 6 else ''}tables-{self.variant}-{what}"


def _planned(
    entries: Iterable[ServicePortEntry], place: Place, previous: Ruleset | None
) -> dict[int, tuple[tuple[int, ...], PortRules]]:
    known: Mapping[int, tuple[tuple[int, ...], PortRules]] = {}
    if previous and isinstance(previous.memo, _Memo) and previous.memo.place == place:
        known = previous.memo.rules
    names = [(entry, listener_names(entry, place.documented)) for entry in entries]
    ports = {
        protocol: listen_ports(
            name for entry, own in names if entry.protocol == protocol for name in own
        )
        for protocol in PROTOCOLS
    }
    planned: dict[int, tuple[tuple[int, ...], PortRules]] = {}
    for entry, own in names:
        listening = tuple(ports[entry.protocol][name] for name in own)
        before = known.get(id(entry))
        if before is None or before[0] != listening:
            before = listening, port_rules(entry, place, listening)
        planned[id(entry)] = before
    return planned


def _rules_of(ruleset: Ruleset) -> Ruleset:
    """Without the process's table."""
    return Ruleset(
        {name: ruleset.tables.get(name, _NOTHING) for name in ("mangle", "filter", "nat")}
    )


def _lines(ports: Iterable[PortRules], chain: str) -> tuple[str, ...]:
    return tuple(line for one in ports for line in one.lines.get(chain, ()))


def _nat_table(ports: list[PortRules]) -> Chains:
    chains = (FROM_PODS, FROM_HOST, NODE_PORTS_FROM_PODS, NODE_PORTS_FROM_HOST)
    return {**{chain: _lines(ports, chain) for chain in chains}, **_NAT_JUMPS}


def _filter_table(ports: list[PortRules], documented: bool) -> Chains:
    chains = {NON_LOCAL: _lines(ports, NON_LOCAL)}
    if not documented:
        return {**chains, "INPUT": (_INPUT_JUMP,)}
    # Refused first: a node port that nobody serves is no port of the process.
    refused = {hook: f"-A {hook} {_REFUSED_JUMP}" for hook in ("INPUT", "FORWARD", "OUTPUT")}
    jumps: Chains = {hook: (jump,) for hook, jump in refused.items()}
    return {
        **chains,
        REFUSED: _lines(ports, REFUSED),
        **jumps,
        "INPUT": (refused["INPUT"], _INPUT_JUMP),
    }
