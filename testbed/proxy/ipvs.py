"""kube-proxy's IPVS mode: a ForwardingTable as virtual servers, sets, rules and addresses of one node.

kube-proxy 1.36 is the model, its deviations from the documentation included (profile `documented`
undoes those that Kubernetes' own words deny). The kernel's load balancer picks: `scheduler` names how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Literal

from testbed.command import Command
from testbed.proxy import ipvs_observe, ipvs_sync
from testbed.proxy.ipvs_plan import Assembled, assemble
from testbed.proxy.ipvs_rules import Facts, filter_chains, nat_chains
from testbed.proxy.ipvs_services import Site, Style
from testbed.proxy.ruleset import Observed, Ruleset
from testbed.proxy.table import ForwardingTable

DRAIN_CHECK_S = 60.0
"""How often kube-proxy looks whether what it withdrew has ended (`rsCheckDeleteInterval`)."""

_SYSCTLS = MappingProxyType(
    {
        "net.ipv4.vs.conntrack": "1",
        "net.ipv4.vs.expire_nodest_conn": "1",
        "net.ipv4.vs.expire_quiescent_template": "1",
    }
)
_STRICT_ARP = MappingProxyType(
    {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
)
"""Services' addresses are on an interface of every node (kube-ipvs0): with these it keeps them to itself."""
_NOTHING = Ruleset({})


@dataclass(frozen=True, slots=True)
class IpvsBackend:
    """The back end of `proxy.mode: ipvs`, for one IP family."""

    scheduler: str
    variant: Literal["nft", "legacy"]
    family: int = 4
    strict_arp: bool = False

    @property
    def name(self) -> str:
        return f"ipvs/{self.scheduler}"

    @property
    def needs(self) -> frozenset[str]:
        scheduler = {"ipvs-twos"} if self.scheduler == "twos" else set()
        return frozenset({"ipvs", "ipset", "dummy", f"iptables-{self.variant}", *scheduler})

    @property
    def sysctls(self) -> Mapping[str, str]:
        """kube-proxy leaves conn_reuse_mode alone from kernel 5.9 on; no lab runs an older one."""
        return {**_SYSCTLS, **_STRICT_ARP} if self.strict_arp else _SYSCTLS

    @property
    def drain_check_s(self) -> float:
        return DRAIN_CHECK_S

    def plan(self, table: ForwardingTable, previous: Ruleset | None = None) -> Ruleset:
        """All that the node should hold. See `Backend.plan`."""
        config = table.config
        style = Style(config.family, self.scheduler, config.documented)
        site = Site(table.node, table.node_ips, _node_port_ips(table))
        memo = previous.memo if previous else None
        before = memo if isinstance(memo, Assembled) else None
        made = assemble(table, style, site, before)
        facts = Facts(
            config.family,
            config.cluster_cidr,
            config.masquerade_all,
            made.filled,
            made.denied,
            made.short,
        )
        rules = {"filter": filter_chains(facts), "nat": nat_chains(facts)}
        return Ruleset({**made.sections, **rules}, replace(made, rules=rules))

    def commands(self, have: Ruleset | None, want: Ruleset) -> list[Command]:
        """See `Backend.commands`; `ipvs_sync` has the details."""
        return ipvs_sync.commands(have or _NOTHING, want, f"{self._iptables}-restore")

    def observe(self) -> Command:
        return ipvs_observe.observation(self.family, f"{self._iptables}-save")

    def parse(self, text: str) -> Observed:
        """See `Backend.parse`. Raises RuleSyntaxError."""
        return ipvs_observe.parse(text, self.family)

    def rewrites(self, have: Ruleset | None, want: Ruleset) -> bool:
        """Never: a difference costs what differs."""
        return False

    # Draining, see `Drains`

    def lingering(self, have: Ruleset | None, want: Ruleset) -> frozenset[str]:
        return ipvs_sync.lingering(have or _NOTHING, want)

    def look(self, rules: Ruleset) -> Command:
        return ipvs_observe.destinations(rules.lingering)

    def finish(self, text: str, rules: Ruleset) -> tuple[list[Command], Ruleset]:
        done = ipvs_observe.idle(text, rules.lingering)
        if not done:
            return [], rules
        lines = "".join(f"-d {one}\n" for one in sorted(done))
        left = replace(rules, lingering=rules.lingering - done)
        return [Command(ipvs_sync.RESTORE_SERVERS, lines)], left

    @property
    def _iptables(self) -> str:
        return f"{'iptables' if self.family == 4 else 'ip6tables'}-{self.variant}"


def _node_port_ips(table: ForwardingTable) -> tuple[str, ...]:
    """Which of the node's addresses have node ports: all, or what `node_port_addresses` selects."""
    wanted = table.config.node_port_addresses
    if not wanted:
        return table.node_ips
    if "primary" in wanted:
        return table.node_ips[:1]
    networks = [ip_network(cidr) for cidr in wanted]
    return tuple(ip for ip in table.node_ips if any(ip_address(ip) in net for net in networks))
