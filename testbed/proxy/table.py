"""Services x endpoints x node -> ForwardingTable: Kubernetes' semantics, decided once for all back
ends.

Source: pkg/proxy/serviceport.go, endpointslicecache.go and topology.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

from testbed.model.objects import (
    SERVICE_PROXY_NAME_LABEL,
    ZONE_LABEL,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
)
from testbed.proxy.endpoints import Categorized, Place, ServiceEndpoint, categorize, collect
from testbed.proxy.family import addresses, contains, networks
from testbed.proxy.names import service_port_name
from testbed.store import Key, Snapshot


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """kube-proxy's options that rules depend on.

    `cluster_cidr` is the local detector: a source inside it is a pod. Empty: nobody is told apart,
    and cluster-IP traffic from outside is not masqueraded.
    """

    cluster_cidr: str = ""
    masquerade_all: bool = False
    family: int = 4
    """4 or 6. Whatever has an address in a table is of this family."""
    documented: bool = False
    """Do what the Kubernetes documentation promises, where kube-proxy 1.36 does not."""
    service_cidr: str = ""
    node_port_addresses: tuple[str, ...] = ()
    """CIDRs, or `primary`, of the node's addresses that node ports answer on; empty: as the mode does."""


@dataclass(frozen=True, slots=True)
class ServicePortEntry:
    """One service port as one node forwards it. Addresses and ports are text and numbers as in the
    API.
    """

    namespace: str
    service: str
    port_name: str
    protocol: str
    """tcp, udp or sctp."""
    cluster_ip: str
    port: int
    node_port: int
    """0: none."""
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    load_balancer_source_ranges: tuple[str, ...]
    """Who may use the load balancer's addresses; empty: everybody."""
    node_in_source_ranges: bool
    """This node may: then the load balancer's addresses may as well, which its own packets bear
    where they are bound to the node."""
    affinity_s: int
    """sessionAffinity ClientIP's timeout; 0: none."""
    internal_local: bool
    external_local: bool
    health_check_node_port: int
    """0: none; only a LoadBalancer with external traffic policy Local has one."""
    cluster_endpoints: tuple[ServiceEndpoint, ...]
    """For traffic policy Cluster: the ready ones that topology hints leave to this node, or else those
    that serve while terminating."""
    local_endpoints: tuple[ServiceEndpoint, ...]
    """The same for policy Local, on this node only; empty where no policy is Local."""
    ready_endpoints: tuple[ServiceEndpoint, ...]
    """All ready ones on any node, whatever policies and hints say."""
    serving_endpoints: tuple[ServiceEndpoint, ...]
    """Whoever may keep the connections it has: ready or terminating, not failing."""
    has_endpoints: bool
    """Some usable endpoint exists on some node: the difference between reject and drop."""
    known_endpoints: int
    """Number of endpoints in any condition; its sum decides kube-proxy's large cluster mode."""

    @property
    def name(self) -> str:
        """`namespace/service:port`, as kube-proxy's comments have it."""
        return service_port_name(self.namespace, self.service, self.port_name)

    @property
    def externally_accessible(self) -> bool:
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_local_endpoints(self) -> bool:
        return self.internal_local or (self.external_local and self.externally_accessible)


@dataclass(frozen=True, slots=True)
class ForwardingTable:
    """All service ports of one node, ordered by namespace, service, port name and protocol.

    The fields that do not compare are what the next table is derived from, this node's or another's.
    """

    node: str
    zone: str
    node_ips: tuple[str, ...]
    config: ProxyConfig
    ports: tuple[ServicePortEntry, ...]
    known_endpoints: int
    snapshot: Snapshot = field(compare=False, repr=False)
    by_service: Mapping[Key, tuple[ServicePortEntry, ...]] = field(compare=False, repr=False)
    of_this_node: frozenset[Key] = field(compare=False, repr=False)
    """Services whose entries may differ from node to node: those with a policy Local, with hints, with
    source ranges. All others' are the same objects on all nodes whose tables stem from each other."""

    @property
    def place(self) -> Place:
        return Place(self.node, self.zone)

    @property
    def resource_version(self) -> int:
        """The store's version that the table was computed from."""
        return self.snapshot.resource_version


def forwarding_table(
    snapshot: Snapshot, config: ProxyConfig, node: str, previous: ForwardingTable | None = None
) -> ForwardingTable:
    """The table of one node. With the table before, unchanged entries are the same objects as in
    it.

    The result never depends on `previous`, which may stem from any other state and any other node.
    """
    found = snapshot.get(Node, "", node)
    zone = found.meta.labels.get(ZONE_LABEL, "") if found else ""
    node_ips = addresses(found.internal_ips, config.family) if found else ()
    around = _Around(config.family, Place(node, zone), node_ips)
    if previous is None or previous.config != config:
        by_service, of_this_node = _recomputed(
            {}, set(), snapshot, set(_services(snapshot)), around
        )
    else:
        changed = _changed_services(previous.snapshot, snapshot)
        if (previous.place, previous.node_ips) != (around.place, node_ips):
            changed |= previous.of_this_node
        by_service, of_this_node = _recomputed(
            dict(previous.by_service), set(previous.of_this_node), snapshot, changed, around
        )
    ports = tuple(chain.from_iterable(by_service.values()))
    return ForwardingTable(
        node=node,
        zone=zone,
        node_ips=node_ips,
        config=config,
        ports=ports,
        known_endpoints=sum([entry.known_endpoints for entry in ports]),
        snapshot=snapshot,
        by_service=by_service,
        of_this_node=frozenset(of_this_node),
    )


@dataclass(frozen=True, slots=True)
class _Around:
    """What entries depend on beside the service and its slices."""

    family: int
    place: Place
    node_ips: tuple[str, ...]


def _recomputed(
    by_service: dict[Key, tuple[ServicePortEntry, ...]],
    of_this_node: set[Key],
    snapshot: Snapshot,
    changed: Collection[Key],
    around: _Around,
) -> tuple[dict[Key, tuple[ServicePortEntry, ...]], set[Key]]:
    """`by_service` with the changed services decided again, ordered by key, and `of_this_node`."""
    services = _services(snapshot)
    slices = _slices_of(snapshot, changed)
    in_order = bool(by_service)
    for key in changed:
        service = services.get(key)
        entries, differs = (
            _entries(service, slices.get(key, ()), around) if service else ((), False)
        )
        if differs:
            of_this_node.add(key)
        else:
            of_this_node.discard(key)
        before = by_service.get(key)
        if not entries:
            by_service.pop(key, None)
        elif before is None:
            by_service[key] = entries
            in_order = False
        elif before != entries:
            by_service[key] = _reused(before, entries)
    ordered = by_service if in_order else dict(sorted(by_service.items()))
    return ordered, of_this_node


def _reused(
    before: tuple[ServicePortEntry, ...], entries: tuple[ServicePortEntry, ...]
) -> tuple[ServicePortEntry, ...]:
    """`entries`, with an equal one of `before` in place of each."""
    known = {(entry.port_name, entry.protocol): entry for entry in before}
    return tuple(
        old if (old := known.get((entry.port_name, entry.protocol))) == entry and old else entry
        for entry in entries
    )


def _services(snapshot: Snapshot) -> Mapping[Key, Service]:
    return cast("Mapping[Key, Service]", snapshot.tables.get(Service.kind, {}))


def _slices(snapshot: Snapshot) -> Mapping[Key, EndpointSlice]:
    return cast("Mapping[Key, EndpointSlice]", snapshot.tables.get(EndpointSlice.kind, {}))


def _changed_services(before: Snapshot, now: Snapshot) -> set[Key]:
    """Services that differ, themselves or in a slice. Snapshots share what did not change."""
    old, new = _services(before), _services(now)
    changed = set(_different(old, new))
    old_slices, new_slices = _slices(before), _slices(now)
    for key in _different(old_slices, new_slices):
        for side in (old_slices, new_slices):
            if key in side:
                changed.add(side[key].service)
    return changed


def _different(before: Mapping[Key, object], now: Mapping[Key, object]) -> Iterable[Key]:
    if before is now:
        return []
    different = [key for key, item in now.items() if before.get(key) is not item]
    if len(before) + len(different) > len(now):
        different.extend(key for key in before if key not in now)
    return different


def _slices_of(snapshot: Snapshot, services: Collection[Key]) -> dict[Key, list[EndpointSlice]]:
    found: dict[Key, list[EndpointSlice]] = {}
    if services:
        for item in _slices(snapshot).values():
            key = item.service
            if key in services:
                found.setdefault(key, []).append(item)
    return found


def _is_proxied(service: Service) -> bool:
    """Headless services, external names and those of another proxy get no rules."""
    return (
        service.type != "ExternalName"
        and service.cluster_ip not in {"", "None"}
        and SERVICE_PROXY_NAME_LABEL not in service.meta.labels
    )


def _entries(
    service: Service, slices: Iterable[EndpointSlice], around: _Around
) -> tuple[tuple[ServicePortEntry, ...], bool]:
    """The entries of one service, and whether another node's may differ."""
    if not _is_proxied(service):
        return (), False
    common = _common(service, around)
    if common is None:
        return (), False
    # Slices in order of their name: which of two equal endpoints is kept must not depend on
    # history.
    ordered = sorted(slices, key=_slice_name)
    pairs = [_entry(service, port, common, ordered, around) for port in service.ports]
    entries = [entry for entry, _ in pairs]
    if len(entries) > 1:
        entries.sort(key=lambda entry: (entry.port_name, entry.protocol))
    return tuple(entries), any(differs for _, differs in pairs)


def _slice_name(item: EndpointSlice) -> str:
    return item.meta.name


@dataclass(frozen=True, slots=True)
class _Common:
    """What the ports of a service share, of one family."""

    cluster_ip: str
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    node_in_source_ranges: bool
    affinity_s: int
    internal_local: bool
    external_local: bool
    health_check_node_port: int


def _common(service: Service, around: _Around) -> _Common | None:
    """None: the service has no cluster IP of the family."""
    family = around.family
    cluster_ips = addresses(service.cluster_ips, family)
    if not cluster_ips:
        return None
    external_local = service.external_traffic_policy == "Local"
    has_health_check = service.type == "LoadBalancer" and external_local
    ranges = networks(service.load_balancer_source_ranges, family)
    if any(cidr.endswith("/0") for cidr in ranges):
        ranges = ()
    return _Common(
        cluster_ip=cluster_ips[0],
        external_ips=addresses(service.external_ips, family),
        load_balancer_ips=addresses(
            [
                ingress.ip
                for ingress in service.load_balancer_ingress
                if ingress.ip and ingress.ip_mode == "VIP"
            ],
            family,
        ),
        source_ranges=ranges,
        node_in_source_ranges=contains(ranges, around.node_ips),
        affinity_s=(
            service.session_affinity_timeout_s if service.session_affinity == "ClientIP" else 0
        ),
        internal_local=service.internal_traffic_policy == "Local",
        external_local=external_local,
        health_check_node_port=service.health_check_node_port if has_health_check else 0,
    )


def _entry(
    service: Service,
    port: ServicePort,
    common: _Common,
    slices: list[EndpointSlice],
    around: _Around,
) -> tuple[ServicePortEntry, bool]:
    accessible = bool(port.node_port or common.external_ips or common.load_balancer_ips)
    use_local = common.internal_local or (common.external_local and accessible)
    endpoints = categorize(
        collect(slices, port.name, port.protocol, around.family),
        around.place,
        use_cluster=not common.internal_local or accessible,
        use_local=use_local,
    )
    differs = use_local or endpoints.hinted or bool(common.source_ranges)
    return _spelt(service, port, common, endpoints), differs


def _spelt(
    service: Service, port: ServicePort, common: _Common, endpoints: Categorized
) -> ServicePortEntry:
    return ServicePortEntry(
        namespace=service.meta.namespace,
        service=service.meta.name,
        port_name=port.name,
        protocol=port.protocol.lower(),
        cluster_ip=common.cluster_ip,
        port=port.port,
        node_port=port.node_port,
        external_ips=common.external_ips,
        load_balancer_ips=common.load_balancer_ips,
        load_balancer_source_ranges=common.source_ranges,
        node_in_source_ranges=common.node_in_source_ranges,
        affinity_s=common.affinity_s,
        internal_local=common.internal_local,
        external_local=common.external_local,
        health_check_node_port=common.health_check_node_port,
        cluster_endpoints=endpoints.cluster,
        local_endpoints=endpoints.local,
        ready_endpoints=endpoints.ready,
        serving_endpoints=endpoints.serving,
        has_endpoints=endpoints.usable_anywhere,
        known_endpoints=endpoints.known,
    )
