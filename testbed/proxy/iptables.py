"""kube-proxy's iptables mode: a ForwardingTable as the rules of one node.

kube-proxy 1.36 is the model: its chains, jumps, comments, probabilities and order of tables. What
goes to the kernel, and in which transactions, is `iptables_restore`'s part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from testbed.command import Command
from testbed.proxy import iptables_restore
from testbed.proxy.family import HOST_BITS
from testbed.proxy.iptables_chains import (
    EXTERNAL_SERVICES,
    HEALTH_CHECKS,
    MARK_MASQ,
    NODE_PORTS,
    PROXY_FIREWALL,
    SERVICES,
    Surroundings,
    port_rules,
)
from testbed.proxy.iptables_state import (
    Entries,
    NatChains,
    Ports,
    State,
    narrowed,
    ports_after,
)
from testbed.proxy.node_ports import node_port_ips
from testbed.proxy.ruleset import Chains, Observed, Ruleset, changed_chains
from testbed.proxy.table import ForwardingTable

LARGE_CLUSTER_ENDPOINTS = 1000
"""Above it kube-proxy writes no comments into endpoint chains (`largeClusterEndpointsThreshold`).
"""

NOFLUSH_BREAK_EVEN = 1000
"""iptables-nft-restore --noflush costs about 33 ns for each pair of chains that it changes, replacing a
table 50 µs for each chain that there is: beyond changed² = 1000 x all, replacing everything is cheaper
(measured with 1.8.9: 13 s against 1.0 s for 20,000 chains into an empty table).
"""

_PORTALS = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
_NEW = "-m conntrack --ctstate NEW"
_FIREWALL_JUMP = (
    f'{_NEW} -m comment --comment "kubernetes load balancer firewall" -j {PROXY_FIREWALL}'
)
_VISIBLE_JUMP = (
    f'{_NEW} -m comment --comment "kubernetes externally-visible service portals"'
    f" -j {EXTERNAL_SERVICES}"
)

_FILTER_JUMPS: Chains = {
    "INPUT": (
        "-A INPUT -j KUBE-FIREWALL",
        f"-A INPUT {_FIREWALL_JUMP}",
        f'-A INPUT -m comment --comment "kubernetes health check service ports" -j {NODE_PORTS}',
        f"-A INPUT {_VISIBLE_JUMP}",
    ),
    "FORWARD": (
        f"-A FORWARD {_FIREWALL_JUMP}",
        '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        f"-A FORWARD {_NEW} {_PORTALS}",
        f"-A FORWARD {_VISIBLE_JUMP}",
    ),
    "OUTPUT": (
        "-A OUTPUT -j KUBE-FIREWALL",
        f"-A OUTPUT {_FIREWALL_JUMP}",
        f"-A OUTPUT {_NEW} {_PORTALS}",
    ),
}

# A martian that only route_localnet lets in: nobody on the link may reach 127.0.0.1.
_NO_MARTIANS = (
    "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment"
    ' "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT'
    " -j DROP"
)

_FILTER_FIXED: Chains = {
    "KUBE-PROXY-CANARY": (),
    "KUBE-FORWARD": (
        # An invalid packet would leave with its pod's own address, and the client would reset.
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark'
        " --mark 0x4000/0x4000 -j ACCEPT",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack'
        " --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ),
}

_MANGLE_FIXED: Chains = {"KUBE-PROXY-CANARY": ()}

_NAT_FIXED: Chains = {
    "KUBE-PROXY-CANARY": (),
    MARK_MASQ: (f"-A {MARK_MASQ} -j MARK --set-xmark 0x4000/0x4000",),
    "KUBE-POSTROUTING": (
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        # The mark must not outlive the packet's way through this stack (a tunnel would copy it).
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT"'
        " -j MASQUERADE --random-fully",
    ),
}

_NAT_JUMPS: Chains = {
    "PREROUTING": (f"-A PREROUTING {_PORTALS}",),
    "OUTPUT": (f"-A OUTPUT {_PORTALS}",),
    "POSTROUTING": (
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    ),
}

_NODE_PORTS_LAST = (
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this'
    ' chain"'
)

_SYSCTLS: Mapping[int, Mapping[str, str]] = {
    4: MappingProxyType({"net.ipv4.conf.all.route_localnet": "1"}),
    6: MappingProxyType({}),
}
_TOOLS = MappingProxyType({4: "iptables", 6: "ip6tables"})


@dataclass(frozen=True, slots=True)
class IptablesBackend:
    """The back end of `proxy.mode: iptables`.

    `max_rules_per_transaction` cuts a sync into several transactions where one may not be large: in
    a user namespace an nft transaction must fit 212,992 bytes, and 200 rules do. A sync is then
    atomic per chain only (see `iptables_restore`).
    """

    variant: Literal["nft", "legacy"]
    max_rules_per_transaction: int | None = None
    family: int = 4

    @property
    def _tool(self) -> str:
        return f"{_TOOLS[self.family]}-{self.variant}"

    @property
    def name(self) -> str:
        return f"iptables-{self.variant}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self._tool})

    @property
    def sysctls(self) -> Mapping[str, str]:
        """Node ports answer on 127.0.0.1 too (`localhostNodePorts`); there is no such thing in IPv6."""
        return _SYSCTLS[self.family]

    def plan(self, table: ForwardingTable, previous: Ruleset | None = None) -> Ruleset:
        """All rules of the node. See `Backend.plan`."""
        around = Surroundings(
            cluster_cidr=table.config.cluster_cidr,
            masquerade_all=table.config.masquerade_all,
            comments=table.known_endpoints <= LARGE_CLUSTER_ENDPOINTS,
            family=self.family,
        )
        node_ports = _node_port_rules(table)
        before = previous.memo if previous else None
        if isinstance(before, State) and before.around == around:
            return _ruleset(_following(before, table.ports, node_ports))
        ports = tuple([port_rules(entry, around) for entry in table.ports])
        return _ruleset(_state(around, table.ports, ports, node_ports))

    def commands(self, have: Ruleset | None, want: Ruleset) -> list[Command]:
        """See `Backend.commands`; `iptables_restore` has the details."""
        if have and isinstance(have.memo, State) and isinstance(want.memo, State):
            have, want = narrowed(have.memo, want.memo)
        return iptables_restore.commands(
            have, want, f"{self._tool}-restore", self.max_rules_per_transaction
        )

    def observe(self) -> Command:
        return Command((f"{self._tool}-save",))

    def parse(self, text: str) -> Observed:
        """See `Backend.parse`. Raises RuleSyntaxError."""
        return iptables_restore.parse_save(text)

    def rewrites(self, have: Ruleset | None, want: Ruleset) -> bool:
        """See `Backend.rewrites`: only nft in one transaction has the trouble, and only it the
        cure.
        """
        if self.variant != "nft" or self.max_rules_per_transaction is not None:
            return False
        chains = sum(map(len, want.tables.values()))
        return changed_chains(have, want) ** 2 > NOFLUSH_BREAK_EVEN * chains


def _ruleset(state: State) -> Ruleset:
    return Ruleset({"mangle": _MANGLE_FIXED, "filter": state.filter, "nat": state.nat}, state)


def _following(before: State, entries: Entries, node_ports: tuple[str, ...]) -> State:
    """The state of other entries under the same surroundings, with what `before` has of it."""
    if before.entries is entries and before.node_ports == node_ports:
        return before
    ports, same = ports_after(before, entries)
    if not same or before.node_ports != node_ports:
        return _state(before.around, entries, ports, node_ports)
    return replace(before, entries=entries, nat=NatChains(_NAT_FIXED, ports, before.nat.last))


def _state(
    around: Surroundings, entries: Entries, ports: Ports, node_ports: tuple[str, ...]
) -> State:
    nat = NatChains(_NAT_FIXED, ports, _shared_nat_chains(ports, node_ports))
    return State(around, entries, node_ports, _filter_table(ports, around.family), nat)


def _filter_table(ports: Ports, family: int) -> Chains:
    return {
        **_FILTER_FIXED,
        "KUBE-FIREWALL": (_NO_MARTIANS,) if family == 4 else (),
        HEALTH_CHECKS: tuple([line for one in ports for line in one.health_checks]),
        EXTERNAL_SERVICES: tuple([line for one in ports for line in one.external_rejects]),
        PROXY_FIREWALL: tuple([line for one in ports for line in one.firewall]),
        SERVICES: tuple([line for one in ports for line in one.rejects]),
        **_FILTER_JUMPS,
    }


def _shared_nat_chains(ports: Ports, node_ports: tuple[str, ...]) -> Chains:
    services = [line for one in ports for line in one.services]
    return {
        NODE_PORTS: tuple([line for one in ports for line in one.node_ports]),
        SERVICES: (*services, *node_ports),
        **_NAT_JUMPS,
    }


def _node_port_rules(table: ForwardingTable) -> tuple[str, ...]:
    """The end of KUBE-SERVICES: which of the node's addresses node ports answer on."""
    ips = node_port_ips(table)
    if ips is not None:
        host = HOST_BITS[table.config.family]
        # ::1 cannot be translated; 127.0.0.1 can, by route_localnet.
        found = [ip for ip in ips if ip != "::1"]
        return tuple(
            f"-A {SERVICES} -d {ip}/{host} {_NODE_PORTS_LAST} -j {NODE_PORTS}" for ip in found
        )
    where = "! -d ::1/128 " if table.config.family == 6 else ""
    return (
        f"-A {SERVICES} {where}{_NODE_PORTS_LAST} -m addrtype --dst-type LOCAL -j {NODE_PORTS}",
    )
