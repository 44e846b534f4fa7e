"""Services: what is reached under an address of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from testbed.model.objects.metadata import Labels, ObjectMeta

SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True)
class ServicePort:
    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str = 0
    """A number, or the name of a container port; 0 means: as `port`."""
    node_port: int = 0
    """0: none (yet)."""


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    ip: str = ""
    hostname: str = ""
    ip_mode: str = "VIP"


@dataclass(frozen=True, slots=True)
class Service:
    """`cluster_ips` is empty until allocated and ("None",) for a headless service."""

    kind: ClassVar[str] = "Service"
    meta: ObjectMeta
    ports: tuple[ServicePort, ...] = ()
    selector: Labels = field(default_factory=dict)
    type: str = "ClusterIP"
    cluster_ips: tuple[str, ...] = ()
    """One per family of `ip_families`, in that order."""
    ip_families: tuple[str, ...] = ()
    """IPv4, IPv6; empty until allocated, and for an ExternalName service."""
    ip_family_policy: str = ""
    """SingleStack, PreferDualStack or RequireDualStack; "" until allocated."""
    external_name: str = ""
    external_ips: tuple[str, ...] = ()
    session_affinity: str = "None"
    session_affinity_timeout_s: int = 10800
    internal_traffic_policy: str = "Cluster"
    external_traffic_policy: str = "Cluster"
    load_balancer_source_ranges: tuple[str, ...] = ()
    load_balancer_ingress: tuple[LoadBalancerIngress, ...] = ()
    health_check_node_port: int = 0
    allocate_load_balancer_node_ports: bool = True
    publish_not_ready_addresses: bool = False
    traffic_distribution: str = ""
    """PreferSameZone, PreferClose (the same), PreferSameNode; "": none."""
    load_balancer_ip: str = ""
    """What a provider is asked for, where it heeds that (deprecated); "": any."""
    load_balancer_class: str = ""
    """Whose business it is, if it is a load balancer; "": the default's."""

    @property
    def cluster_ip(self) -> str:
        """Its primary cluster address: "" until allocated, "None" for a headless service."""
        return next(iter(self.cluster_ips), "")

    @property
    def headless(self) -> bool:
        return self.cluster_ip == "None"
