"""A topology's `network:`: addresses of pods, services and nodes, and how pods reach each other."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from testbed.model.bgp import BGP
from testbed.model.cni import CNI, CNIKey
from testbed.model.networks import (
    NODE_CIDR,
    POD_CIDR,
    SERVICE_CIDR,
    Networks,
    default_spelled,
    with_defaults,
)
from testbed.model.scalars import MTU, EmptyIfNothing, Name
from testbed.model.strict import Strict
from testbed.model.vxlan import VXLAN


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
