"""A topology's `loadBalancer:`: where services of type LoadBalancer get their addresses from, and who makes
these lead to the nodes. Names are MetalLB's, where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from testbed.model.address_range import AddressRange, AddressRangeKey
from testbed.model.cloud import Cloud
from testbed.model.scalars import Duration, EmptyIfNothing, Name, Text
from testbed.model.strict import Strict

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A node that has it, whatever its value, is sent nothing by load balancers (KEP-1143)."""
ANNOTATIONS = ("metallb.io", "metallb.universe.tf")
"""Prefixes of MetalLB's annotations; the second one is the older."""
ALLOCATED_FROM = "metallb.io/ip-allocated-from-pool"
"""MetalLB's own note on a service that has addresses of a pool."""
DEFAULT_POOL = "default"


def asked_by(annotations: Mapping[str, str], name: str) -> str:
    """The value of one of MetalLB's annotations; "" where there is none."""
    keys = (f"{prefix}/{name}" for prefix in ANNOTATIONS)
    return next((annotations[key] for key in keys if key in annotations), "")


class Pool(Strict):
    """MetalLB's IPAddressPool."""

    addresses: tuple[AddressRangeKey, ...] = Field(
        description="networks, or ranges FIRST-LAST", json_schema_extra={"minItems": 1}
    )
    auto_assign: bool = Field(
        True, description="false: only services that ask for it get its addresses", strict=True
    )
    avoid_buggy_ips: bool = Field(
        False,
        alias="avoidBuggyIPs",
        description="leave addresses out that end in .0 or .255",
        strict=True,
    )

    @field_validator("addresses")
    @classmethod
    def _some(cls, value: tuple[AddressRange, ...]) -> tuple[AddressRange, ...]:
        if not value:
            raise ValueError("must not be empty")
        return value


class L2(Strict):
    """How speakers of provider l2 find out who of them is there: hashicorp/memberlist's protocol and words."""

    probe_interval_s: Annotated[Duration, Field(ge=0.05, le=60)] = Field(
        1.0, alias="probeInterval", description="between two probes of another speaker each"
    )
    probe_timeout_s: Annotated[Duration, Field(ge=0.01, le=60)] = Field(
        0.5, alias="probeTimeout", description="a probed one has so long to answer"
    )
    indirect_checks: Annotated[int, Field(ge=0, le=10, strict=True)] = Field(
        3, description="how many others are then asked to probe it"
    )
    suspicion_mult: Annotated[int, Field(ge=1, le=60, strict=True)] = Field(
        4, description="it is dead after so many further probe intervals (times log10 of how many)"
    )
    rejoin_interval_s: Annotated[Duration, Field(ge=1, le=3600)] = Field(
        60.0, alias="rejoinInterval", description="between two tries to join speakers that are gone"
    )

    @model_validator(mode="after")
    def _times_fit(self) -> L2:
        if self.probe_timeout_s >= self.probe_interval_s:
            raise ValueError("probeTimeout must be shorter than probeInterval")
        return self


class LoadBalancer(Strict):
    """Of services of type LoadBalancer."""

    provider: Literal["none", "l2", "bgp", "cloud"] = Field(
        "none", description="none: addresses stay pending"
    )
    addresses: tuple[AddressRangeKey, ...] = Field(
        (), description="of the one pool, named default: networks, or ranges FIRST-LAST"
    )
    pools: Annotated[dict[Name, Pool], EmptyIfNothing] = Field(
        {}, description="instead of addresses, where there are several"
    )
    load_balancer_class: Text = Field(
        "", description="serve services of this loadBalancerClass alone (those that name none)"
    )
    l2: Annotated[L2, EmptyIfNothing] = Field(L2(), description="of provider l2")
    cloud: Annotated[Cloud, EmptyIfNothing] = Field(Cloud(), description="of provider cloud")

    @model_validator(mode="after")
    def _pools_and_provider(self) -> LoadBalancer:
        if self.addresses and self.pools:
            raise ValueError("addresses is in short for one pool; put everything under pools")
        if self.provider == "none" and (self.addresses or self.pools):
            raise ValueError("nobody gives these addresses out; name a provider: l2, bgp or cloud")
        if self.provider != "none" and not self.all_pools:
            raise ValueError(f"addresses is missing: what provider {self.provider} gives out")
        ranges = [(name, one) for name, pool in self.all_pools.items() for one in pool.addresses]
        for (name, one), (other, another) in combinations(ranges, 2):
            if one.overlaps(another):
                where = f"of pool {name} and {another} of pool {other}"
                raise ValueError(f"{one} {where} share addresses")
        return self

    @property
    def all_pools(self) -> dict[str, Pool]:
        """By name, in the order in which they are tried."""
        return {DEFAULT_POOL: Pool(addresses=self.addresses)} if self.addresses else self.pools
