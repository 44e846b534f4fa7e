"""A service and its slices -> the entries of a forwarding table: Kubernetes' semantics, decided once for
all back ends.

Source: pkg/proxy/serviceport.go, endpointslicecache.go and topology.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.services import SERVICE_PROXY_NAME_LABEL, Service, ServicePort
from testbed.proxy.endpoints import Categorized, Place, ServiceEndpoint, categorize, collect
from testbed.proxy.family import addresses, contains, networks
from testbed.proxy.names import service_port_name


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
class Around:
    """What entries depend on beside the service and its slices."""

    family: int
    place: Place
    node_ips: tuple[str, ...]


def service_entries(
    service: Service, slices: Sequence[EndpointSlice], around: Around
) -> tuple[tuple[ServicePortEntry, ...], bool]:
    """The entries of one service, in order of port name and protocol, and whether another node's may
    differ. Slices come in order of their names.
    """
    if not _is_proxied(service):
        return (), False
    common = _common(service, around)
    if common is None:
        return (), False
    pairs = [_entry(service, port, common, slices, around) for port in service.ports]
    entries = [entry for entry, _ in pairs]
    if len(entries) > 1:
        entries.sort(key=lambda entry: (entry.port_name, entry.protocol))
    return tuple(entries), any(differs for _, differs in pairs)


def _is_proxied(service: Service) -> bool:
    """Headless services, external names and those of another proxy get no rules."""
    return (
        service.type != "ExternalName"
        and service.cluster_ip not in {"", "None"}
        and SERVICE_PROXY_NAME_LABEL not in service.meta.labels
    )


class _Common(NamedTuple):
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


def _common(service: Service, around: Around) -> _Common | None:
    """None: the service has no cluster IP of the family."""
    family = around.family
    cluster_ips = addresses(service.cluster_ips, family)
    if not cluster_ips:
        return None
    external_local = service.external_traffic_policy == "Local"
    has_health_check = service.type == "LoadBalancer" and external_local
    ranges = networks(service.load_balancer_source_ranges, family)
    if ranges and any(cidr.endswith("/0") for cidr in ranges):
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
    slices: Sequence[EndpointSlice],
    around: Around,
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
