"""A topology's `services:`, with the keys of a ServiceSpec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from testbed.model.metadata_read import is_subdomain_name
from testbed.model.scalars import CIDR, Address, Name, Port, Protocol, TargetPort, Text
from testbed.model.strict import Strict

Policy = Literal["Cluster", "Local"]


class PortSpec(Strict):
    """One port of a service."""

    name: Text = Field("", description="needed where a service has several")
    port: Port = Field(description="what clients dial")
    target_port: TargetPort | None = Field(
        None, description="the pods' port or its name (the workload's port)"
    )
    protocol: Protocol = Field("TCP", description="of the port")
    node_port: Port | None = Field(None, description="on every node's address (allocated)")


class ClientIP(Strict):
    """Affinity by client address."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86400, strict=True)] = Field(
        10800, description="how long a client keeps its backend"
    )


class AffinityConfig(Strict):
    """Kubernetes' sessionAffinityConfig."""

    client_ip: ClientIP = Field(ClientIP(), alias="clientIP", description="of ClientIP affinity")


class ServiceSpec(Strict):
    """A service, named as the key."""

    port: Port | None = Field(None, description="what clients dial")
    target_port: TargetPort | None = Field(
        None, description="the pods' port or its name (the workload's port)"
    )
    protocol: Protocol | None = Field(None, description="of the port (the workload's)")
    node_port: Port | None = Field(None, description="on every node's address (allocated)")
    ports: tuple[PortSpec, ...] = Field((), description="instead of port, where there are several")
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] | None = Field(
        None, description="ClusterIP, unless nodePort or externalName say otherwise"
    )
    selector: dict[Text, Text] | None = Field(
        None, description="labels of its pods (those of the workload of that name)"
    )
    cluster_ip: Text = Field("", alias="clusterIP", description="an address, or None: headless")
    cluster_ips: tuple[Text, ...] = Field(
        (), alias="clusterIPs", description="instead of clusterIP: one per IP family"
    )
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = Field(
        (), alias="ipFamilies", description="the first is the primary one (the cluster's)"
    )
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = Field(
        None, alias="ipFamilyPolicy", description="one IP family or two (SingleStack)"
    )
    external_name: Text = Field("", description="of type ExternalName")
    external_ips: tuple[Address, ...] = Field((), alias="externalIPs", description="more addresses")
    session_affinity: Literal["None", "ClientIP"] = Field("None", description="ClientIP: sticky")
    session_affinity_config: AffinityConfig = Field(AffinityConfig(), description="its timeout")
    internal_traffic_policy: Policy = Field("Cluster", description="which backends pods reach")
    external_traffic_policy: Policy = Field("Cluster", description="which backends others reach")
    load_balancer_source_ranges: tuple[CIDR, ...] = Field(
        (), description="who may use the load balancer's addresses, as CIDRs (everybody)"
    )
    allocate_load_balancer_node_ports: bool = Field(
        True, description="node ports for type LoadBalancer, too", strict=True
    )
    load_balancer_ip: Text = Field(
        "", alias="loadBalancerIP", description="of type LoadBalancer: the address that it asks for"
    )
    load_balancer_class: Text = Field(
        "", description="of type LoadBalancer: whose business it is (loadBalancer's provider)"
    )
    health_check_node_port: Port | None = Field(
        None, description="of type LoadBalancer with externalTrafficPolicy Local (allocated)"
    )
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = Field(
        None, description="whether near backends are preferred"
    )
    publish_not_ready_addresses: bool = Field(
        False, description="also pods that are not ready", strict=True
    )
    namespace: Name = Field("default", description="its namespace")
    annotations: dict[Text, Text] = Field({}, description="its annotations")

    @model_validator(mode="after")
    def _one_way_to_say_ports(self) -> ServiceSpec:
        if self.ports and (self.port or self.target_port or self.node_port or self.protocol):
            raise ValueError("port and ports exclude each other; put everything under ports")
        if self.cluster_ip and self.cluster_ips:
            raise ValueError("clusterIP and clusterIPs exclude each other")
        if self.type == "ExternalName" and not self.external_name:
            raise ValueError("externalName is missing; write the name that this one stands for")
        named = self.external_name.removesuffix(".")
        if self.kind == "ExternalName" and not is_subdomain_name(named):
            raise ValueError(f"externalName {named[:60]!r} is no DNS name; as in: example.org")
        if not self.ports and self.port is None and not self.external_name:
            raise ValueError("port is missing")
        names = [port.name for port in self.ports]
        if len(names) > 1 and ("" in names or len(set(names)) < len(names)):
            raise ValueError("with several ports each needs a name of its own")
        return self

    @property
    def kind(self) -> str:
        """Its type, inferred where it is not said."""
        if self.type:
            return self.type
        if self.external_name:
            return "ExternalName"
        has_node_port = self.node_port or any(port.node_port for port in self.ports)
        return "NodePort" if has_node_port else "ClusterIP"

    @property
    def all_ports(self) -> tuple[PortSpec, ...]:
        """`ports`, or the one port in short."""
        if self.ports or self.port is None:
            return self.ports
        single = {
            "port": self.port,
            "targetPort": self.target_port,
            "protocol": self.protocol or "TCP",
            "nodePort": self.node_port,
        }
        return (PortSpec.model_validate({key: value for key, value in single.items() if value}),)
