"""What one service port has in the table of kube-proxy's nftables mode: chains, sets, elements.

Rules are in kube-proxy's words. Source: `syncProxyRules` in
kubernetes/pkg/proxy/nftables/proxier.go, 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from testbed.proxy import nftables_names as names
from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.table import ServicePortEntry

CLUSTER_IPS = "set cluster-ips"
NODE_PORT_IPS = "set nodeport-ips"
HAIRPINS = "set hairpin-connections"
SERVICE_IPS = "map service-ips"
SERVICE_NODE_PORTS = "map service-nodeports"
FIREWALL_IPS = "map firewall-ips"
NO_ENDPOINT_SERVICES = "map no-endpoint-services"
NO_ENDPOINT_NODE_PORTS = "map no-endpoint-nodeports"

MARK = "mark set mark or 0x4000"
REJECT = "goto reject-chain"
_LONGEST_COMMENT = 128
"""nft takes no longer one."""

Claim = tuple[str, str]
"""(who wants the element: the port's name; what follows the key: `: goto chain`, perhaps a comment).

Several ports may want one key: ports of one service its cluster IP, services over the same pods a
hairpin, two services by mistake one load balancer address. The first by name has it.
"""

Element = tuple[str, str, tuple[Claim, ...]]
"""(set or map, key, who claims it)."""

Block = tuple[str, tuple[str, ...]]
"""(`chain NAME` or `set NAME`, its lines)."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one address family is spelt."""

    ip: str
    address: str
    loopback: str


FAMILIES: Mapping[int, Family] = {
    4: Family("ip", "ipv4_addr", "127.0.0.0/8"),
    6: Family("ip6", "ipv6_addr", "::1"),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the chains of every service port depend on beside the port itself. No node: nodes share them."""

    family: int
    cluster_cidr: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class PortObjects:
    """All that one service port has: its blocks (those jumped to first), and its elements in shared sets
    and maps, as (set or map, key, the one claim). `endpoints` are those that it may go to.
    """

    entry: ServicePortEntry
    owner: str
    blocks: tuple[Block, ...]
    elements: tuple[Element, ...]
    endpoints: tuple[ServiceEndpoint, ...]

    def elements_on(self, node: str) -> Iterator[Element]:
        """Its elements in a node's table."""
        yield from self.elements
        yield from self.hairpins_on(node)

    def hairpins_on(self, node: str) -> Iterator[Element]:
        """The node's own endpoints in `hairpin-connections`."""
        for one in self.endpoints:
            if one.node == node:
                yield self.hairpin(one)

    def hairpin(self, endpoint: ServiceEndpoint) -> Element:
        """What tells that a pod got itself."""
        key = f"{endpoint.ip} . {endpoint.ip} . {self.entry.protocol} . {endpoint.port}"
        return HAIRPINS, key, ((self.owner, ""),)


def port_objects(entry: ServicePortEntry, around: Surroundings) -> PortObjects:
    """Everything of a service port."""
    base = names.port_base(entry.namespace, entry.service, entry.port_name, entry.protocol)
    used = _used_endpoints(entry)
    owner = f"{entry.namespace}/{entry.service}/{entry.protocol}/{entry.port_name}"
    return PortObjects(
        entry=entry,
        owner=owner,
        blocks=tuple(_blocks(entry, base, used, around)),
        elements=tuple(
            [(where, key, ((owner, said),)) for where, key, said in _elements(entry, base)]
        ),
        endpoints=used,
    )


def _used_endpoints(entry: ServicePortEntry) -> tuple[ServiceEndpoint, ...]:
    if not entry.local_endpoints or entry.local_endpoints == entry.cluster_endpoints:
        return entry.cluster_endpoints or entry.local_endpoints
    return tuple(sorted({*entry.cluster_endpoints, *entry.local_endpoints}))


# Chains


def _blocks(
    entry: ServicePortEntry, base: str, used: Iterable[ServiceEndpoint], around: Surroundings
) -> Iterator[Block]:
    ip = FAMILIES[around.family].ip
    if entry.affinity_s:
        for endpoint in used:
            yield from _remembering(entry, endpoint, around.family)
    for prefix, endpoints in (
        (names.SERVICE, entry.cluster_endpoints),
        (names.LOCAL, entry.local_endpoints),
    ):
        if endpoints:
            pick = _sticky_pick if entry.affinity_s else _pick
            yield f"chain {prefix}{base}", pick(entry, endpoints, ip)
    if entry.externally_accessible and entry.has_endpoints:
        yield f"chain {names.EXTERNAL}{base}", tuple(_external(entry, base, ip, around))
    if entry.load_balancer_ips and entry.load_balancer_source_ranges:
        yield f"chain {names.FIREWALL}{base}", (_not_allowed(entry, ip),)


def _pick(
    entry: ServicePortEntry, endpoints: tuple[ServiceEndpoint, ...], ip: str
) -> tuple[str, ...]:
    """One rule that picks and translates: there is no chain of an endpoint to go to."""
    choices = ", ".join([f"{i} : {one.ip} . {one.port}" for i, one in enumerate(endpoints)])
    return (
        f"meta l4proto {entry.protocol} dnat {ip} addr . port to"
        f" numgen random mod {len(endpoints)} map {{ {choices} }}",
    )


def _sticky_pick(
    entry: ServicePortEntry, endpoints: tuple[ServiceEndpoint, ...], ip: str
) -> tuple[str, ...]:
    """Whoever has been at an endpoint goes there again; the others get one by chance."""
    bases = [_endpoint_base(entry, one) for one in endpoints]
    rules = [f"{ip} saddr @{names.AFFINITY}{base} goto {names.ENDPOINT}{base}" for base in bases]
    choices = ", ".join([f"{i} : goto {names.ENDPOINT}{base}" for i, base in enumerate(bases)])
    rules.append(f"numgen random mod {len(bases)} vmap {{ {choices} }}")
    return tuple(rules)


def _remembering(
    entry: ServicePortEntry, endpoint: ServiceEndpoint, family: int
) -> Iterator[Block]:
    """An endpoint's set of clients, renewed with each of their connections, and the chain that does it."""
    base = _endpoint_base(entry, endpoint)
    spelling = FAMILIES[family]
    yield (
        f"set {names.AFFINITY}{base}",
        (f"type {spelling.address}", "flags dynamic,timeout", f"timeout {entry.affinity_s}s"),
    )
    yield (
        f"chain {names.ENDPOINT}{base}",
        (
            f"update @{names.AFFINITY}{base} {{ {spelling.ip} saddr }}",
            f"meta l4proto {entry.protocol} dnat to {endpoint.text}",
        ),
    )


def _endpoint_base(entry: ServicePortEntry, endpoint: ServiceEndpoint) -> str:
    port = (entry.namespace, entry.service, entry.port_name, entry.protocol)
    return names.endpoint_base(port, endpoint.ip, endpoint.port)


def _external(entry: ServicePortEntry, base: str, ip: str, around: Surroundings) -> Iterator[str]:
    cluster = f"{names.SERVICE}{base}"
    if not entry.external_local:
        yield MARK
        if entry.cluster_endpoints:
            yield f"goto {cluster}"
        return
    if entry.cluster_endpoints:
        if around.cluster_cidr:
            # A pod is not "external": it takes the short way, and its address is kept.
            yield (
                f"{ip} saddr {around.cluster_cidr} goto {cluster}"
                ' comment "short-circuit pod traffic"'
            )
        yield f'fib saddr type local {MARK} comment "masquerade local traffic"'
        yield f'fib saddr type local goto {cluster} comment "short-circuit local traffic"'
    if entry.local_endpoints:
        yield f"goto {names.LOCAL}{base}"


def _not_allowed(entry: ServicePortEntry, ip: str) -> str:
    sources = list(entry.load_balancer_source_ranges)
    if entry.node_in_source_ranges:
        # A packet of the node's own to an address that is bound to the node has it as its source.
        sources += entry.load_balancer_ips
    return f"{ip} saddr != {interval_set(sources)} drop"


def interval_set(networks: Iterable[str]) -> str:
    """Networks as nft lists them: sorted, none inside or beside another that it forms a network with."""
    parsed = [ip_network(text) for text in networks]
    four = [one for one in parsed if isinstance(one, IPv4Network)]
    six = [one for one in parsed if isinstance(one, IPv6Network)]
    merged = [*map(_spelt, collapse_addresses(four)), *map(_spelt, collapse_addresses(six))]
    return f"{{ {', '.join(merged)} }}"


def _spelt(network: IPv4Network | IPv6Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


# Elements


def _elements(entry: ServicePortEntry, base: str) -> Iterator[tuple[str, str, str]]:
    """(set or map, key, what follows it)."""
    protocol, port = entry.protocol, entry.port
    yield CLUSTER_IPS, entry.cluster_ip, ""
    inside = entry.local_endpoints if entry.internal_local else entry.cluster_endpoints
    key = f"{entry.cluster_ip} . {protocol} . {port}"
    if inside:
        prefix = names.LOCAL if entry.internal_local else names.SERVICE
        yield SERVICE_IPS, key, f": goto {prefix}{base}"
    else:
        yield NO_ENDPOINT_SERVICES, key, _refusal(entry)
    outside = entry.local_endpoints if entry.external_local else entry.cluster_endpoints
    for address in (*entry.external_ips, *entry.load_balancer_ips):
        key = f"{address} . {protocol} . {port}"
        if entry.has_endpoints:
            yield SERVICE_IPS, key, f": goto {names.EXTERNAL}{base}"
        if not outside:
            yield NO_ENDPOINT_SERVICES, key, _refusal(entry)
    if entry.load_balancer_source_ranges:
        for address in entry.load_balancer_ips:
            key = f"{address} . {protocol} . {port}"
            yield FIREWALL_IPS, key, f": goto {names.FIREWALL}{base}"
    if entry.node_port:
        key = f"{protocol} . {entry.node_port}"
        if entry.has_endpoints:
            yield SERVICE_NODE_PORTS, key, f": goto {names.EXTERNAL}{base}"
        if not outside:
            yield NO_ENDPOINT_NODE_PORTS, key, _refusal(entry)


def _refusal(entry: ServicePortEntry) -> str:
    """Nobody anywhere: the client is told. Nobody on this node, as the policy wants it: silence."""
    verdict = "drop" if entry.has_endpoints else REJECT
    return f'comment "{entry.name[:_LONGEST_COMMENT]}" : {verdict}'
