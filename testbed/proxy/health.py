"""Is the proxy of a node well, and may a load balancer send it a service's traffic?

Source: pkg/proxy/healthcheck of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.proxy.family import ADDRESS_TYPES, contains, is_of
from testbed.proxy.status import ProxierStatus, proxy_mode
from testbed.proxy.table import ForwardingTable
from testbed.store import Key

PRIMARY = "primary"
"""Of --nodeport-addresses: the node's first address."""
ABOUT_TO_GO_TAINT = "ToBeDeletedByClusterAutoscaler"
"""The cluster autoscaler's, on a node that it is about to remove."""
HEALTHY_PERIODS = 2
"""A change that waits longer than this many sync periods makes the proxy unhealthy."""


@dataclass(frozen=True, slots=True)
class ProxyHealth:
    """Health by family, at one instant of the proxy's clock."""

    now_ns: int
    healthy: tuple[tuple[str, bool], ...]
    """(IPv4 or IPv6, health) of each family that has synced: one that only starts is healthy."""
    last_updated_ns: tuple[tuple[str, int], ...]
    node_eligible: bool

    @property
    def live(self) -> bool:
        """What /livez says."""
        return all(healthy for _, healthy in self.healthy)

    @property
    def ready(self) -> bool:
        """What /healthz says: live, and the node is not on its way out."""
        return self.live and self.node_eligible

    def body(self, unix_offset_ns: int, *, of_node: bool) -> dict[str, Any]:
        """The page's JSON; `of_node` is /healthz, which counts the node in."""

        def time(t_ns: int) -> str:
            return rfc3339(t_ns + unix_offset_ns)

        updated = dict(self.last_updated_ns)
        well = self.ready if of_node else self.live
        last_ns = self.now_ns if well else max(updated.values(), default=self.now_ns)
        page: dict[str, Any] = {"lastUpdated": time(last_ns), "currentTime": time(self.now_ns)}
        if of_node:
            page["nodeEligible"] = self.node_eligible
        page["healthy"] = self.live
        if self.healthy:
            page["status"] = {
                family: {"lastUpdated": time(updated[family]), "healthy": healthy}
                for family, healthy in self.healthy
            }
        return page


def proxy_health(
    proxiers: Sequence[ProxierStatus], node: Node | None, now_ns: int, sync_period_s: float
) -> ProxyHealth:
    """The health of a node's proxy, all families together."""
    synced = [one for one in proxiers if one.metrics.last_sync_ns]
    limit_ns = HEALTHY_PERIODS * sync_period_s * 1e9
    return ProxyHealth(
        now_ns=now_ns,
        healthy=tuple(
            (
                one.ip_family,
                one.oldest_pending_ns is None or now_ns - one.oldest_pending_ns < limit_ns,
            )
            for one in synced
        ),
        last_updated_ns=tuple((one.ip_family, one.metrics.last_sync_ns) for one in synced),
        node_eligible=node is not None and _takes_traffic(node),
    )


def _takes_traffic(node: Node) -> bool:
    """Whether load balancers may send the node new connections: it is not about to go."""
    return node.meta.deletion_s is None and not any(
        taint.key == ABOUT_TO_GO_TAINT for taint in node.taints
    )


def health_check_ports(table: ForwardingTable) -> dict[Key, int]:
    """healthCheckNodePort of each service that has one, by (namespace, name)."""
    return {
        (entry.namespace, entry.service): entry.health_check_node_port
        for entry in table.ports
        if entry.health_check_node_port
    }


def health_check_addresses(table: ForwardingTable, mode: str) -> tuple[str, ...]:
    """The node's addresses where those ports are open; "" stands for all of them, of both families."""
    config = table.config
    wanted = config.node_port_addresses
    if not wanted and proxy_mode(mode) == "nftables" and not config.documented:
        wanted = (PRIMARY,)
    if not wanted or any(cidr.endswith("/0") for cidr in wanted):
        return ("",)
    if PRIMARY in wanted:
        return table.node_ips[:1]
    cidrs = [cidr for cidr in wanted if is_of(cidr, config.family)]
    return tuple(ip for ip in table.node_ips if contains(cidrs, [ip]))


def ready_on_node(table: ForwardingTable, service: Key) -> int:
    """Number of addresses of a service's endpoints that are ready on the table's node.

    Those that serve while terminating do not count: no load balancer shall send them new ones.
    """
    family = ADDRESS_TYPES[table.config.family]
    return len(
        {
            endpoint.addresses[0]
            for item in table.snapshot.list(EndpointSlice, service[0])
            if item.service == service and item.address_type == family
            for endpoint in item.endpoints
            if endpoint.ready and endpoint.node_name == table.node and endpoint.addresses
        }
    )


def service_body(service: Key, local_endpoints: int, *, proxy_healthy: bool) -> dict[str, Any]:
    """The JSON of a service's health check node port."""
    namespace, name = service
    return {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": local_endpoints,
        "serviceProxyHealthy": proxy_healthy,
    }


def rfc3339(unix_ns: int) -> str:
    """Unix time as text in UTC, to the nanosecond."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"
