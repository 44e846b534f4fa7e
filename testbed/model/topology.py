"""A topology: the YAML that a researcher writes, as frozen values.

Keys that Kubernetes has keep its names. What one key alone can say wrong is found here; what
contradicts another key is found by `model.consistency`; positions in the file are `model.loader`'s.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from testbed.model.cloud import with_balancer
from testbed.model.dns import DNS
from testbed.model.ingress import Ingress
from testbed.model.links import ASN, HostSpec, Link, Rack, RouterSpec
from testbed.model.load_balancer import LoadBalancer
from testbed.model.mininet_underlay import MininetUnderlay, nodes_or_underlay
from testbed.model.network import Network
from testbed.model.proxy import Proxy
from testbed.model.runtime import Runtime, RuntimeKey
from testbed.model.scalars import EmptyIfNothing, Fake, Manifest, Name, Text
from testbed.model.service import ServiceSpec
from testbed.model.strict import Strict
from testbed.model.timing import Timing
from testbed.model.workload import Workload


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
    load_balancer: Annotated[LoadBalancer, EmptyIfNothing] = Field(
        LoadBalancer(), description="addresses of services of type LoadBalancer"
    )
    timing: Annotated[Timing, EmptyIfNothing] = Field(
        Timing(), description="Kubernetes' own delays"
    )
    nodes: dict[Name, Annotated[NodeSpec, EmptyIfNothing]] = Field(
        description="machines of the cluster", min_length=1
    )
    ingress: Ingress | None = Field(
        None, description="an ingress controller, HAProxy; {}: as it is by itself, left out: none"
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

    @model_validator(mode="before")
    @classmethod
    def _with_balancer(cls, data: Any) -> Any:
        return with_balancer(data)

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
