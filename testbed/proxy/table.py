"""Services x endpoints x node -> ForwardingTable: Kubernetes' semantics, decided once for all back
ends.

Source: pkg/proxy/serviceport.go, endpointslicecache.go and topology.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

from testbed.model.objects import (
    SERVICE_PROXY_NAME_LABEL,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
)
from testbed.proxy.endpoints import ServiceEndpoint, categorize, collect
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
    """Empty: everybody may."""
    affinity_s: int
    """sessionAffinity ClientIP's timeout; 0: none."""
    internal_local: bool
    external_local: bool
    cluster_endpoints: tuple[ServiceEndpoint, ...]
    """For traffic policy Cluster: the ready ones, or else those that serve while terminating."""
    local_endpoints: tuple[ServiceEndpoint, ...]
    """The same for policy Local, on this node only; empty where no policy is Local."""
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

    The fields that do not compare are what the next table is derived from.
    """

    node: str
    node_ips: tuple[str, ...]
    config: ProxyConfig
    ports: tuple[ServicePortEntry, ...]
    known_endpoints: int
    snapshot: Snapshot = field(compare=False, repr=False)
    by_service: Mapping[Key, tuple[ServicePortEntry, ...]] = field(compare=False, repr=False)

    @property
    def resource_version(self) -> int:
        """The store's version that the table was computed from."""
        return self.snapshot.resource_version


def forwarding_table(
    snapshot: Snapshot, config: ProxyConfig, node: str, previous: ForwardingTable | None = None
) -> ForwardingTable:
    """The table of one node. With the table before, unchanged entries are the same objects as in
    it.

    The result never depends on `previous`, which may stem from any other state.
    """
    if previous is None or previous.node != node:
        changed = set(_services(snapshot))
        by_service: dict[Key, tuple[ServicePortEntry, ...]] = {}
    else:
        changed = _changed_services(previous.snapshot, snapshot)
        by_service = dict(previous.by_service)
    by_service = _recomputed(by_service, snapshot, changed, node)
    ports = tuple(chain.from_iterable(by_service.values()))
    node_object = snapshot.get(Node, "", node)
    return ForwardingTable(
        node=node,
        node_ips=(node_object.internal_ip,) if node_object and node_object.internal_ip else (),
        config=config,
        ports=ports,
        known_endpoints=sum([entry.known_endpoints for entry in ports]),
        snapshot=snapshot,
        by_service=by_service,
    )


def _recomputed(
    by_service: dict[Key, tuple[ServicePortEntry, ...]],
    snapshot: Snapshot,
    changed: set[Key],
    node: str,
) -> dict[Key, tuple[ServicePortEntry, ...]]:
    """`by_service` with the changed services decided again, ordered by key."""
    services = _services(snapshot)
    slices = _slices_of(snapshot, changed)
    in_order = bool(by_service)
    for key in changed:
        service = services.get(key)
        entries = _entries(service, slices.get(key, ()), node) if service else ()
        before = by_service.get(key)
        if not entries:
            by_service.pop(key, None)
        elif before is None:
            by_service[key] = entries
            in_order = False
        elif before != entries:
            by_service[key] = _reused(before, entries)
    return by_service if in_order else dict(sorted(by_service.items()))


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


def _slices_of(snapshot: Snapshot, services: set[Key]) -> dict[Key, list[EndpointSlice]]:
    found: dict[Key, list[EndpointSlice]] = {}
    if services:
        for item in _slices(snapshot).values():
            key = item.service
            if key in services:
                found.setdefault(key, []).append(item)
    return found


def _is_proxied(service: Service) -> bool:
    """Headless services, external names and those of another proxy get no rules; IPv4 only."""
    return (
        service.type != "ExternalName"
        and service.cluster_ip not in {"", "None"}
        and ":" not in service.cluster_ip
        and SERVICE_PROXY_NAME_LABEL not in service.meta.labels
    )


def _entries(
    service: Service, slices: Iterable[EndpointSlice], node: str
) -> tuple[ServicePortEntry, ...]:
    if not _is_proxied(service):
        return ()
    # Slices in order of their name: which of two equal endpoints is kept must not depend on
    # history.
    ordered = sorted(slices, key=_slice_name)
    entries = [_entry(service, port, ordered, node) for port in service.ports]
    if len(entries) > 1:
        entries.sort(key=lambda entry: (entry.port_name, entry.protocol))
    return tuple(entries)


def _slice_name(item: EndpointSlice) -> str:
    return item.meta.name


def _entry(
    service: Service, port: ServicePort, slices: list[EndpointSlice], node: str
) -> ServicePortEntry:
    external_ips = _ipv4(service.external_ips)
    load_balancer_ips = _ipv4(
        ingress.ip
        for ingress in service.load_balancer_ingress
        if ingress.ip and ingress.ip_mode == "VIP"
    )
    internal_local = service.internal_traffic_policy == "Local"
    accessible = bool(port.node_port or external_ips or load_balancer_ips)
    external_local = service.external_traffic_policy == "Local"
    endpoints = categorize(
        collect(slices, port.name, port.protocol, node),
        use_cluster=not internal_local or accessible,
        use_local=internal_local or (external_local and accessible),
    )
    return ServicePortEntry(
        namespace=service.meta.namespace,
        service=service.meta.name,
        port_name=port.name,
        protocol=port.protocol.lower(),
        cluster_ip=service.cluster_ip,
        port=port.port,
        node_port=port.node_port,
        external_ips=external_ips,
        load_balancer_ips=load_balancer_ips,
        load_balancer_source_ranges=_ipv4(service.load_balancer_source_ranges),
        affinity_s=_affinity_s(service),
        internal_local=internal_local,
        external_local=external_local,
        cluster_endpoints=endpoints.cluster,
        local_endpoints=endpoints.local,
        serving_endpoints=endpoints.serving,
        has_endpoints=endpoints.usable_anywhere,
        known_endpoints=endpoints.known,
    )


def _affinity_s(service: Service) -> int:
    return service.session_affinity_timeout_s if service.session_affinity == "ClientIP" else 0


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if ":" not in address)
