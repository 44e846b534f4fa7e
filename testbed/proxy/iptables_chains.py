"""The iptables rules of one service port, in kube-proxy's chains and words.

Rules are spelt as `iptables-save` prints them, so that what is planned compares with what a kernel
holds; only probabilities keep kube-proxy's ten decimals. Source: `syncProxyRules` in
kubernetes/pkg/proxy/iptables/proxier.go, 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.family import HOST_BITS
from testbed.proxy.names import (
    CLUSTER_POLICY,
    EXTERNAL,
    FIREWALL,
    LOCAL_POLICY,
    endpoint_chain,
    service_suffix,
)
from testbed.proxy.table import ServicePortEntry

MARK_MASQ = "KUBE-MARK-MASQ"
SERVICES = "KUBE-SERVICES"
NODE_PORTS = "KUBE-NODEPORTS"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"

HEALTH_CHECKS = NODE_PORTS
"""The chain of that name in table filter, which lets probes of health check ports in."""

_MASKS = MappingProxyType({4: "255.255.255.255", 6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
_UNREACHABLE = MappingProxyType({4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules of every service port depend on beside the port itself."""

    cluster_cidr: str
    masquerade_all: bool
    comments: bool
    """kube-proxy leaves them out of endpoint chains in large clusters."""
    family: int = 4

    @property
    def host(self) -> str:
        """The prefix length that makes an address a network."""
        return f"/{HOST_BITS[self.family]}"

    @property
    def affinity(self) -> str:
        """The end of a `recent` match: lists are by whole source addresses."""
        return f"--mask {_MASKS[self.family]} --rsource"

    @property
    def reject(self) -> str:
        return f"REJECT --reject-with {_UNREACHABLE[self.family]}"


@dataclass(frozen=True, slots=True)
class PortRules:
    """The rules of one service port.

    `chains` are its own chains of table nat, those jumped to first; the rest are its lines in the
    shared chains: services and node_ports of table nat, rejects, external_rejects, firewall and
    health_checks of table filter.
    """

    entry: ServicePortEntry
    chains: dict[str, tuple[str, ...]]
    services: tuple[str, ...]
    node_ports: tuple[str, ...]
    rejects: tuple[str, ...]
    external_rejects: tuple[str, ...]
    firewall: tuple[str, ...]
    health_checks: tuple[str, ...]

    @property
    def shared_lines(self) -> tuple[tuple[str, ...], ...]:
        """All lines in chains that are not its own."""
        return (
            *(self.services, self.node_ports),
            *(self.rejects, self.external_rejects, self.firewall, self.health_checks),
        )


def port_rules(entry: ServicePortEntry, around: Surroundings) -> PortRules:
    """All rules of a service port."""
    name = entry.name
    suffix = service_suffix(name, entry.protocol)
    external = entry.externally_accessible and entry.has_endpoints
    targets = {
        endpoint.text: endpoint_chain(name, entry.protocol, endpoint.text)
        for endpoint in _used_endpoints(entry)
    }
    chains = _endpoint_chains(entry, name, targets, around)
    if entry.cluster_endpoints:
        chain = CLUSTER_POLICY + suffix
        used = {endpoint.text: targets[endpoint.text] for endpoint in entry.cluster_endpoints}
        chains[chain] = _policy_chain(entry, name, chain, used, around)
    if entry.local_endpoints:
        chain = LOCAL_POLICY + suffix
        used = {endpoint.text: targets[endpoint.text] for endpoint in entry.local_endpoints}
        chains[chain] = _policy_chain(entry, name, chain, used, around)
    if external:
        chains[EXTERNAL + suffix] = _external_chain(entry, name, suffix, around)
        if entry.load_balancer_ips and entry.load_balancer_source_ranges:
            chains[FIREWALL + suffix] = _firewall_chain(entry, name, suffix, around)
    rejects, external_rejects = _filter_rules(entry, name, around)
    return PortRules(
        entry=entry,
        chains=chains,
        services=_services(entry, name, suffix, around),
        node_ports=_node_ports(entry, name, suffix) if external else (),
        rejects=rejects,
        external_rejects=external_rejects,
        firewall=_firewall(entry, name, suffix, around) if external else (),
        health_checks=_health_checks(entry, name),
    )


def _used_endpoints(entry: ServicePortEntry) -> tuple[ServiceEndpoint, ...]:
    if not entry.local_endpoints or entry.local_endpoints == entry.cluster_endpoints:
        return entry.cluster_endpoints or entry.local_endpoints
    return tuple(sorted({*entry.cluster_endpoints, *entry.local_endpoints}))


def _internal_endpoints(entry: ServicePortEntry) -> tuple[ServiceEndpoint, ...]:
    return entry.local_endpoints if entry.internal_local else entry.cluster_endpoints


# Table nat: the chains of one service port


Targets = Mapping[str, str]
"""Endpoint, `ip:port`, -> its chain; in order."""


def _endpoint_chains(
    entry: ServicePortEntry, name: str, targets: Targets, around: Surroundings
) -> dict[str, tuple[str, ...]]:
    protocol, family = entry.protocol, around.family
    comment = f' -m comment --comment "{name}"' if around.comments else ""
    marked = f"{around.host}{comment} -j {MARK_MASQ}"
    translated = f" -m {protocol} -j DNAT --to-destination "
    chains: dict[str, tuple[str, ...]] = {}
    for text, chain in targets.items():
        ip = text.rpartition(":")[0] if family == 4 else text[1 : text.rindex("]")]
        remember = f" -m recent --set --name {chain} {around.affinity}" if entry.affinity_s else ""
        chains[chain] = (
            # Hairpin: a pod that dials its own service must see a foreign source.
            f"-A {chain} -s {ip}{marked}",
            f"-A {chain} -p {protocol}{comment}{remember}{translated}{text}",
        )
    return chains


def _policy_chain(
    entry: ServicePortEntry, name: str, chain: str, targets: Targets, around: Surroundings
) -> tuple[str, ...]:
    protocol = entry.protocol
    rules: list[str] = []
    internal = chain.startswith(LOCAL_POLICY if entry.internal_local else CLUSTER_POLICY)
    if internal and (around.masquerade_all or around.cluster_cidr):
        source = "" if around.masquerade_all else f" ! -s {around.cluster_cidr}"
        rules.append(
            f"-A {chain}{source} -d {entry.cluster_ip}{around.host} -p {protocol} -m comment"
            f' --comment "{name} cluster IP" -m {protocol} --dport {entry.port} -j {MARK_MASQ}'
        )
    if entry.affinity_s:
        comment = f' -m comment --comment "{name}"' if around.comments else ""
        rules += [
            f"-A {chain}{comment} -m recent --rcheck --seconds {entry.affinity_s} --reap"
            f" --name {target} {around.affinity} -j {target}"
            for target in targets.values()
        ]
    left = len(targets)
    for text, target in targets.items():
        comment = f' -m comment --comment "{name} -> {text}"' if around.comments else ""
        rules.append(f"-A {chain}{comment}{_one_in(left)} -j {target}")
        left -= 1
    return tuple(rules)


@cache
def _one_in(choices: int) -> str:
    """The match that takes one of so many packets; the last choice takes all that is left."""
    if choices == 1:
        return ""
    return f" -m statistic --mode random --probability {1 / choices:0.10f}"


def _external_chain(
    entry: ServicePortEntry, name: str, suffix: str, around: Surroundings
) -> tuple[str, ...]:
    chain = EXTERNAL + suffix
    cluster = CLUSTER_POLICY + suffix
    if not entry.external_local:
        return (
            f'-A {chain} -m comment --comment "masquerade traffic for {name} external destinations"'
            f" -j {MARK_MASQ}",
            f"-A {chain} -j {cluster}",
        )
    rules: list[str] = []
    if entry.cluster_endpoints:
        if around.cluster_cidr:
            # A pod is not "external": it takes the short way, and its address is kept.
            rules.append(
                f"-A {chain} -s {around.cluster_cidr} -m comment --comment"
                f' "pod traffic for {name} external destinations" -j {cluster}'
            )
        rules += [
            f'-A {chain} -m comment --comment "masquerade LOCAL traffic for {name} external'
            f' destinations" -m addrtype --src-type LOCAL -j {MARK_MASQ}',
            f'-A {chain} -m comment --comment "route LOCAL traffic for {name} external'
            f' destinations" -m addrtype --src-type LOCAL -j {cluster}',
        ]
    if entry.local_endpoints:
        rules.append(f"-A {chain} -j {LOCAL_POLICY}{suffix}")
    return tuple(rules)


def _firewall_chain(
    entry: ServicePortEntry, name: str, suffix: str, around: Surroundings
) -> tuple[str, ...]:
    """Who may use the load balancer's address; who falls through is dropped by KUBE-PROXY-FIREWALL."""
    sources = list(entry.load_balancer_source_ranges)
    if entry.node_in_source_ranges:
        # Where the address is bound to the node, the node's own packets come from the address itself.
        sources += [f"{ip}{around.host}" for ip in entry.load_balancer_ips]
    return tuple(
        f'-A {FIREWALL}{suffix} -s {source} -m comment --comment "{name} loadbalancer IP"'
        f" -j {EXTERNAL}{suffix}"
        for source in sources
    )


# Table nat: lines in the shared chains


def _services(
    entry: ServicePortEntry, name: str, suffix: str, around: Surroundings
) -> tuple[str, ...]:
    protocol, port, host = entry.protocol, entry.port, around.host
    rules: list[str] = []
    if _internal_endpoints(entry):
        prefix = LOCAL_POLICY if entry.internal_local else CLUSTER_POLICY
        rules.append(
            f"-A {SERVICES} -d {entry.cluster_ip}{host} -p {protocol} -m comment --comment"
            f' "{name} cluster IP" -m {protocol} --dport {port} -j {prefix}{suffix}'
        )
    if not entry.has_endpoints:
        return tuple(rules)
    for ip in entry.external_ips:
        rules.append(
            f'-A {SERVICES} -d {ip}{host} -p {protocol} -m comment --comment "{name} external IP"'
            f" -m {protocol} --dport {port} -j {EXTERNAL}{suffix}"
        )
    prefix = FIREWALL if entry.load_balancer_source_ranges else EXTERNAL
    for ip in entry.load_balancer_ips:
        rules.append(
            f'-A {SERVICES} -d {ip}{host} -p {protocol} -m comment --comment "{name} loadbalancer IP"'
            f" -m {protocol} --dport {port} -j {prefix}{suffix}"
        )
    return tuple(rules)


def _node_ports(entry: ServicePortEntry, name: str, suffix: str) -> tuple[str, ...]:
    if not entry.node_port:
        return ()
    return (
        f'-A {NODE_PORTS} -p {entry.protocol} -m comment --comment "{name}" -m {entry.protocol}'
        f" --dport {entry.node_port} -j {EXTERNAL}{suffix}",
    )


# Table filter


def _filter_rules(
    entry: ServicePortEntry, name: str, around: Surroundings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What nobody can answer: (to the cluster IP, to external addresses)."""
    if not entry.has_endpoints:
        said = f"{name} has no endpoints"
        return (
            _refused_inside(entry, said, around.reject, around),
            _refused_outside(entry, said, around.reject, around),
        )
    if not entry.uses_local_endpoints or entry.local_endpoints:
        return (), ()
    said = f"{name} has no local endpoints"
    return (
        _refused_inside(entry, said, "DROP", around) if entry.internal_local else (),
        _refused_outside(entry, said, "DROP", around) if entry.external_local else (),
    )


def _refused_inside(
    entry: ServicePortEntry, comment: str, target: str, around: Surroundings
) -> tuple[str, ...]:
    return (
        f"-A {SERVICES} -d {entry.cluster_ip}{around.host} -p {entry.protocol} -m comment"
        f' --comment "{comment}" -m {entry.protocol} --dport {entry.port} -j {target}',
    )


def _refused_outside(
    entry: ServicePortEntry, comment: str, target: str, around: Surroundings
) -> tuple[str, ...]:
    protocol = entry.protocol
    said = f'-p {protocol} -m comment --comment "{comment}"'
    rules = [
        f"-A {EXTERNAL_SERVICES} -d {ip}{around.host} {said} -m {protocol} --dport {entry.port}"
        f" -j {target}"
        for ip in (*entry.external_ips, *entry.load_balancer_ips)
    ]
    if entry.node_port:
        rules.append(
            f"-A {EXTERNAL_SERVICES} {said} -m addrtype --dst-type LOCAL -m {protocol}"
            f" --dport {entry.node_port} -j {target}"
        )
    return tuple(rules)


def _firewall(
    entry: ServicePortEntry, name: str, suffix: str, around: Surroundings
) -> tuple[str, ...]:
    if not entry.load_balancer_source_ranges:
        return ()
    return tuple(
        f"-A {PROXY_FIREWALL} -d {ip}{around.host} -p {entry.protocol} -m comment --comment"
        f' "{name} traffic not accepted by {FIREWALL}{suffix}" -m {entry.protocol}'
        f" --dport {entry.port} -j DROP"
        for ip in entry.load_balancer_ips
    )


def _health_checks(entry: ServicePortEntry, name: str) -> tuple[str, ...]:
    if not entry.health_check_node_port:
        return ()
    return (
        f'-A {HEALTH_CHECKS} -p tcp -m comment --comment "{name} health check node port" -m tcp'
        f" --dport {entry.health_check_node_port} -j ACCEPT",
    )
