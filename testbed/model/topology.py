"""A topology: the YAML that a researcher writes, as frozen values.

Keys that Kubernetes has keep its names. What one key alone can say wrong is found here; what
contradicts another key is found by `model.consistency`; positions in the file are `model.loader`'s.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from testbed.model.bgp import BGP
from testbed.model.cni import CNI, CNIKey
from testbed.model.links import ASN, HostSpec, Link, Rack, RouterSpec
from testbed.model.mininet_underlay import MininetUnderlay, nodes_or_underlay
from testbed.model.networks import (
    NODE_CIDR,
    POD_CIDR,
    SERVICE_CIDR,
    Networks,
    default_spelled,
    with_defaults,
)
from testbed.model.proxy_process import External, Userspace
from testbed.model.runtime import Runtime, RuntimeKey
from testbed.model.scalars import (
    CIDR,
    MTU,
    Address,
    Count,
    Duration,
    EmptyIfNothing,
    Fake,
    Manifest,
    Name,
    NodeAddresses,
    Port,
    TargetPort,
    Text,
)
from testbed.model.strict import Strict
from testbed.model.timing import Timing
from testbed.model.vxlan import VXLAN

Protocol = Literal["TCP", "UDP", "SCTP"]
Policy = Literal["Cluster", "Local"]
Scheduler = Literal[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"
]
Bug = Literal["keep-stale-udp"]
"""Faults of kube-proxy that it has mended since; the proxies show them where they are told to."""

ECHO_IMAGE = "testbed/echo"
"""The built-in server; it stands in for every image that `images:` does not map."""


class Network(Strict):
    """The cluster's networks, each one per IP family. The first family is the primary one."""

    pod_cidrs: Networks = Field(
        (POD_CIDR[4],),
        alias="podCIDR",
        description="addresses of pods; for dual stack two, by comma",
        json_schema_extra=default_spelled("podCIDR"),
    )
    service_cidrs: Networks = Field(
        (SERVICE_CIDR[4],),
        alias="serviceCIDR",
        description="addresses of services",
        json_schema_extra=default_spelled("serviceCIDR"),
    )
    node_cidrs: Networks = Field(
        (NODE_CIDR[4],),
        alias="nodeCIDR",
        description="addresses of nodes (from .2) and outside hosts (the upper half)",
        json_schema_extra=default_spelled("nodeCIDR"),
    )
    cni: CNIKey = Field(
        CNI(), description="how pods reach each other: in short host-gw, vxlan or bgp"
    )
    bgp: Annotated[BGP, EmptyIfNothing] = Field(BGP(), description="of cni bgp")
    vxlan: Annotated[VXLAN, EmptyIfNothing] = Field(VXLAN(), description="of cni vxlan")
    mtu: MTU = Field(1500, description="of every link, in bytes")
    pod_mtu: MTU | None = Field(
        None,
        alias="podMTU",
        description="of pods' links (mtu, less what the pod network adds to a packet)",
    )
    ip_masq: bool | None = Field(
        None,
        alias="ipMasq",
        description="whether pods reach what is outside under their node's address (not with host-gw)",
        strict=True,
    )
    control_plane: Name | None = Field(
        None, description="the switch or router where the API server is (the first switch of links)"
    )
    sticky_ips: bool = Field(
        False,
        alias="stickyIPs",
        description="a pod that takes another's place, wherever, takes its address over",
        strict=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _of_the_same_families(cls, values: Any) -> Any:
        return with_defaults(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _large_enough(self) -> Network:
        for key, networks, host_bits in (
            ("podCIDR", self.pod_cidrs, 3),
            ("serviceCIDR", self.service_cidrs, 5),
            ("nodeCIDR", self.node_cidrs, 3),
        ):
            for network in networks:
                longest = network.max_prefixlen - host_bits
                if network.prefixlen > longest:
                    raise ValueError(f"{key} {network} is too small; the smallest is a /{longest}")
        return self

    @property
    def families(self) -> tuple[int, ...]:
        """4, 6 or both; the primary one first."""
        return tuple(network.version for network in self.pod_cidrs)

    @property
    def masquerades(self) -> bool:
        """Whether nodes hide pods from what is outside: as the file says, else as the original does."""
        return self.cni.routes not in {"host-gw", "none"} if self.ip_masq is None else self.ip_masq


class IPTables(Strict):
    """The iptables proxy."""

    variant: Literal["auto", "nft", "legacy"] = Field(
        "auto", description="auto: nft as root, legacy in a user namespace"
    )


class IPVS(Strict):
    """The IPVS proxy."""

    scheduler: Scheduler = Field("rr", description="how IPVS picks a backend")


class Proxy(Strict):
    """What makes service addresses work on every node."""

    mode: Literal["iptables", "nftables", "ipvs", "userspace", "external"] = Field(
        "iptables", description="the kind of rules"
    )
    iptables: IPTables = Field(IPTables(), description="of mode iptables")
    ipvs: IPVS = Field(IPVS(), description="of mode ipvs")
    userspace: Userspace = Field(Userspace(), description="of mode userspace")
    external: External = Field(External(), description="of mode external")
    min_sync_period_s: Duration = Field(
        1.0,
        alias="minSyncPeriod",
        description="least time from the end of one sync to the start of the next",
    )
    sync_period_s: Duration = Field(
        30.0, alias="syncPeriod", description="retry of a failed sync, and the periodic full one"
    )
    masquerade_all: bool = Field(
        False, description="hide every client of a cluster IP behind its node", strict=True
    )
    node_port_addresses: tuple[NodeAddresses, ...] = Field(
        (), description="networks of the nodes' addresses with node ports, or primary (the mode's)"
    )
    profile: Literal["kube-proxy-1.36", "documented"] = Field(
        "kube-proxy-1.36", description="whose behaviour, where kube-proxy and its documents differ"
    )
    bugs: tuple[Bug, ...] = Field(
        (),
        description="faults that kube-proxy has mended, brought back: keep-stale-udp never deletes "
        "UDP conntrack entries",
    )

    @model_validator(mode="after")
    def _external_has_a_command(self) -> Proxy:
        if self.mode == "external" and not self.external.command:
            raise ValueError("mode external needs external.command: what runs on every node")
        return self

    @model_validator(mode="after")
    def _external_has_its_own_bugs(self) -> Proxy:
        if self.mode == "external" and self.bugs:
            raise ValueError(
                "bugs are the testbed's own proxies'; mode external runs somebody else's"
            )
        return self


class DNS(Strict):
    """The cluster's DNS service."""

    domain: Annotated[
        Text, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
    ] = Field("cluster.local", description="the cluster's domain", max_length=200)
    replicas: Count = Field(2, description="how many DNS pods; 0: a cluster without DNS")


class NodeSpec(Strict):
    """A node of the cluster."""

    zone: Text = Field("", description="its topology.kubernetes.io/zone")
    labels: dict[Text, Text] = Field({}, description="further labels")
    unschedulable: bool = Field(False, description="cordoned: gets no new pods", strict=True)
    asn: ASN | None = Field(
        None, description="its autonomous system, where the pod network is bgp (bgp.asNumber)"
    )
    fake: Fake = Field(
        False, description="exists only as an object (true); a number: NAME-0, NAME-1, … do"
    )


class Workload(Strict):
    """Pods that are alike: a Deployment named as the key, its pods NAME-0, NAME-1, …"""

    replicas: Count = Field(1, description="how many pods")
    port: Port = Field(8080, description="what its server listens on")
    protocol: Protocol = Field("TCP", description="of the port")
    image: Text = Field(ECHO_IMAGE, description="what runs in it", min_length=1)
    labels: dict[Text, Text] = Field({}, description="of its pods, besides app: NAME")
    node: Text = Field("", description="the one node its pods run on")
    node_selector: dict[Text, Text] = Field({}, description="labels its nodes must have")
    affinity: dict[str, Any] = Field(
        {}, description="Kubernetes' affinity: nodeAffinity, podAffinity, podAntiAffinity"
    )
    readiness_probe: dict[str, Any] | None = Field(
        None, description="Kubernetes' probe; without an action: GET /healthz on the port"
    )
    liveness_probe: dict[str, Any] | None = Field(
        None, description="Kubernetes' probe; without an action: GET /healthz on the port"
    )
    termination_grace_period_s: Duration = Field(
        30.0,
        alias="terminationGracePeriodSeconds",
        description="from SIGTERM to SIGKILL",
    )
    lifecycle: dict[str, Any] | None = Field(
        None, description="Kubernetes' hooks: preStop, postStart"
    )
    strategy: dict[str, Any] | None = Field(
        None, description="Kubernetes' strategy: type, rollingUpdate (25% more, 25% fewer)"
    )
    min_ready_s: Duration = Field(
        0.0, alias="minReadySeconds", description="how long a new pod is ready before it counts"
    )
    service_time_s: Duration = Field(
        0.0,
        alias="serviceTime",
        description="how long a pod works on a request (TCP, HTTP), one after the other",
    )
    server: Literal["process", "shared"] = Field(
        "process", description="a server process for each pod, or one for all (scale labs)"
    )
    fake: Fake = Field(
        False,
        description="its pods exist only as objects, on fake nodes (true); a number: so many "
        "workloads NAME-0, NAME-1, …, and as many services where one is named like it",
    )
    namespace: Name = Field("default", description="its namespace")


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

    @model_validator(mode="after")
    def _one_way_to_say_ports(self) -> ServiceSpec:
        if self.ports and (self.port or self.target_port or self.node_port or self.protocol):
            raise ValueError("port and ports exclude each other; put everything under ports")
        if self.cluster_ip and self.cluster_ips:
            raise ValueError("clusterIP and clusterIPs exclude each other")
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


class Topology(Strict):
    """A lab as its file describes it."""

    model_config = ConfigDict(json_schema_extra=nodes_or_underlay)

    name: Name = Field(description="the lab's name")
    kernel: Literal["auto", "host", "uml"] = Field(
        "auto", description="the kernel that carries the lab"
    )
    runtime: RuntimeKey = Field(
        Runtime(), description="what nodes and pods are made of; in short netns, docker or mininet"
    )
    network: Annotated[Network, EmptyIfNothing] = Field(Network(), description="its networks")
    proxy: Annotated[Proxy, EmptyIfNothing] = Field(Proxy(), description="service rules")
    dns: Annotated[DNS, EmptyIfNothing] = Field(DNS(), description="names")
    timing: Annotated[Timing, EmptyIfNothing] = Field(
        Timing(), description="Kubernetes' own delays"
    )
    nodes: dict[Name, Annotated[NodeSpec, EmptyIfNothing]] = Field(
        description="machines of the cluster", min_length=1
    )
    hosts: Annotated[dict[Name, Annotated[HostSpec, EmptyIfNothing]], EmptyIfNothing] = Field(
        {}, description="machines outside the cluster"
    )
    routers: Annotated[dict[Name, Annotated[RouterSpec, EmptyIfNothing]], EmptyIfNothing] = Field(
        {}, description="machines that forward between the segments they are linked to"
    )
    underlay: MininetUnderlay | None = Field(
        None, description="in short for links, and for nodes: those of a Mininet Topo"
    )
    racks: Annotated[dict[Name, Annotated[Rack, EmptyIfNothing]], EmptyIfNothing] = Field(
        {}, description="machines on a switch of their own, and what is above it: links, in short"
    )
    links: tuple[Link, ...] = Field((), description="the underlay; without: one switch joins all")
    workloads: Annotated[dict[Name, Annotated[Workload, EmptyIfNothing]], EmptyIfNothing] = Field(
        {}, description="pods, in short"
    )
    services: Annotated[dict[Name, ServiceSpec], EmptyIfNothing] = Field(
        {}, description="services, in short"
    )
    manifests: tuple[Manifest, ...] = Field(
        (), description="Kubernetes objects: file names beside the topology, or in line"
    )
    images: Annotated[dict[Text, Text], EmptyIfNothing] = Field(
        {}, description="which program an image is: pattern of its name -> command line"
    )

    @property
    def all_links(self) -> tuple[Link, ...]:
        """Those of racks spelled out, and then `links`."""
        if not self.racks:
            return self.links
        racked = (link for name, rack in self.racks.items() for link in rack.links(name))
        return (*racked, *self.links)

    @property
    def serves_sctp(self) -> bool:
        """Whether some pod is to listen on an SCTP port. Rules for an SCTP service need nothing of a kernel."""
        if any(workload.protocol == "SCTP" for workload in self.workloads.values()):
            return True
        pods = (
            manifest
            for manifest in self.manifests
            if isinstance(manifest, dict) and manifest.get("kind") in {"Pod", "Deployment"}
        )
        return any('"SCTP"' in json.dumps(manifest) for manifest in pods)
