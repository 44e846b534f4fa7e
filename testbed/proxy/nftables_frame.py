"""What the table of kube-proxy's nftables mode has without any service: base chains, the chains they
jump to, and the sets and maps that services are dispatched by.

A block's lines are those that nft lists between its braces: first what declares it, then rules or
elements. Source: `setupNFTables` in kubernetes/pkg/proxy/nftables/proxier.go, 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from testbed.proxy import nftables_ports as ports
from testbed.proxy.family import contains
from testbed.proxy.nftables_ports import FAMILIES, MARK, Family, Surroundings
from testbed.proxy.ruleset import Chains
from testbed.proxy.table import ForwardingTable

TABLE_NAME = "kube-proxy"

_BASE_CHAINS = (
    ("filter-prerouting-pre-dnat", "filter", "prerouting", -110),
    ("filter-output-pre-dnat", "filter", "output", -110),
    ("filter-input", "filter", "input", 0),
    ("filter-forward", "filter", "forward", 0),
    ("filter-output", "filter", "output", 0),
    ("nat-prerouting", "nat", "prerouting", -100),
    ("nat-output", "nat", "output", -100),
    ("nat-postrouting", "nat", "postrouting", 100),
)
"""(name, type, hook, priority). What a filter sees before -100 is the destination before DNAT."""

_JUMPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter-prerouting-pre-dnat": ("ct state new jump firewall-check",),
        "filter-output-pre-dnat": ("ct state new jump firewall-check",),
        "filter-input": (
            "ct state new jump nodeport-endpoints-check",
            "ct state new jump service-endpoints-check",
        ),
        "filter-forward": (
            "ct state new jump service-endpoints-check",
            "ct state new jump cluster-ips-check",
        ),
        "filter-output": (
            "ct state new jump service-endpoints-check",
            "ct state new jump cluster-ips-check",
        ),
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "nat-postrouting": ("jump masquerading",),
    }
)

_COMMENTS: Mapping[str, str] = MappingProxyType(
    {
        ports.CLUSTER_IPS: "Active ClusterIPs",
        ports.NODE_PORT_IPS: "IPs that accept NodePort traffic",
        ports.HAIRPINS: "service hairpin connections",
        ports.SERVICE_IPS: "ClusterIP, ExternalIP and LoadBalancer IP traffic",
        ports.SERVICE_NODE_PORTS: "NodePort traffic",
        ports.FIREWALL_IPS: "destinations that are subject to LoadBalancerSourceRanges",
        ports.NO_ENDPOINT_SERVICES: (
            "vmap to drop or reject packets to services with no endpoints"
        ),
        ports.NO_ENDPOINT_NODE_PORTS: (
            "vmap to drop or reject packets to service nodeports with no endpoints"
        ),
    }
)

ANY_ADDRESS = frozenset({"0.0.0.0/0", "::/0"})
PRIMARY = "primary"


@dataclass(frozen=True, slots=True)
class Frame:
    """What the fixed part depends on."""

    around: Surroundings
    masquerade_all: bool
    service_cidr: str
    node_port_ips: tuple[str, ...] | None
    """Addresses that node ports answer on; None: all that are local, save the loopback's."""

    @property
    def family(self) -> Family:
        return FAMILIES[self.around.family]

    @property
    def table(self) -> str:
        """The table's name after its family."""
        return f"{self.family.ip} {TABLE_NAME}"


def frame_of(table: ForwardingTable) -> Frame:
    """The fixed part of one node."""
    config = table.config
    return Frame(
        around=Surroundings(config.family, config.cluster_cidr),
        masquerade_all=config.masquerade_all,
        service_cidr=config.service_cidr,
        node_port_ips=_node_port_ips(table),
    )


def _node_port_ips(table: ForwardingTable) -> tuple[str, ...] | None:
    """kube-proxy's own default in this mode is `primary`; the documentation's is every address."""
    wanted = table.config.node_port_addresses
    if not wanted:
        wanted = ("0.0.0.0/0", "::/0") if table.config.documented else (PRIMARY,)
    if ANY_ADDRESS & set(wanted):
        return None
    if PRIMARY in wanted:
        return table.node_ips[:1]
    cidrs = tuple([cidr for cidr in wanted if (":" in cidr) == (table.config.family == 6)])
    return tuple([ip for ip in table.node_ips if contains(cidrs, [ip])])


def frame_sets(frame: Frame) -> Chains:
    """The shared sets and maps, without elements save the node's own addresses."""
    address = frame.family.address
    destination = f"type {address} . inet_proto . inet_service : verdict"
    node_port = "type inet_proto . inet_service : verdict"
    types = {
        ports.CLUSTER_IPS: f"type {address}",
        ports.NODE_PORT_IPS: f"type {address}",
        ports.HAIRPINS: f"type {address} . {address} . inet_proto . inet_service",
        ports.FIREWALL_IPS: destination,
        ports.NO_ENDPOINT_SERVICES: destination,
        ports.NO_ENDPOINT_NODE_PORTS: node_port,
        ports.SERVICE_IPS: destination,
        ports.SERVICE_NODE_PORTS: node_port,
    }
    if frame.node_port_ips is None:
        del types[ports.NODE_PORT_IPS]
    elements = {ports.NODE_PORT_IPS: tuple(sorted(frame.node_port_ips or ()))}
    return {
        name: (said, f'comment "{_COMMENTS[name]}"', *elements.get(name, ()))
        for name, said in types.items()
    }


def frame_chains(frame: Frame) -> Chains:
    """The fixed chains, those jumped to first."""
    chains = {f"chain {name}": rules for name, rules in _regular_chains(frame).items()}
    for name, kind, hook, priority in _BASE_CHAINS:
        declared = f"type {kind} hook {hook} priority {priority}; policy accept;"
        chains[f"chain {name}"] = (declared, *_JUMPS[name])
    return chains


def _regular_chains(frame: Frame) -> dict[str, tuple[str, ...]]:
    ip = frame.family.ip
    destination = f"{ip} daddr . meta l4proto . th dport"
    node_port = f"{_node_port_match(frame)} meta l4proto . th dport"
    unallocated = (
        (
            f"{ip} daddr {{ {frame.service_cidr} }} drop"
            ' comment "Drop traffic to unallocated ClusterIPs"',
        )
        if frame.service_cidr
        else ()
    )
    return {
        "reject-chain": (
            'comment "helper for @no-endpoint-services / @no-endpoint-nodeports"',
            "reject",
        ),
        "firewall-check": (f"{destination} vmap @firewall-ips",),
        "service-endpoints-check": (f"{destination} vmap @no-endpoint-services",),
        "nodeport-endpoints-check": (f"{node_port} vmap @no-endpoint-nodeports",),
        # After DNAT: whatever still goes to a cluster IP has met no service.
        "cluster-ips-check": (
            f'{ip} daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
            *unallocated,
        ),
        "services": (
            *_cluster_ip_masquerade(frame),
            f"{destination} vmap @service-ips",
            f"{node_port} vmap @service-nodeports",
        ),
        "masquerading": (
            # The mark must not outlive the packet's way through this stack (a tunnel would copy it).
            "mark and 0x4000 != 0 mark set mark xor 0x4000 masquerade fully-random",
            # Hairpin: a pod that dials its own service must see a foreign source.
            f"ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport"
            " @hairpin-connections masquerade fully-random",
        ),
    }


def _node_port_match(frame: Frame) -> str:
    ip = frame.family.ip
    if frame.node_port_ips is None:
        return f"fib daddr type local {ip} daddr != {frame.family.loopback}"
    return f"{ip} daddr @nodeport-ips"


def _cluster_ip_masquerade(frame: Frame) -> tuple[str, ...]:
    ip, pods = frame.family.ip, frame.around.cluster_cidr
    if frame.masquerade_all:
        return (f'{ip} daddr @cluster-ips {MARK} comment "masquerade all clusterIP traffic"',)
    if not pods:
        return ()
    return (
        f"{ip} daddr @cluster-ips {ip} saddr != {pods} {MARK}"
        ' comment "masquerade clusterIP traffic from outside cluster"',
    )
