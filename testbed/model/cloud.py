"""A topology's `loadBalancer.cloud`: the balancer host outside the cluster, and how it checks nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from testbed.model.scalars import Duration, Name
from testbed.model.strict import Strict

Program = Literal["haproxy", "nftables", "ipvs"]
Like = Literal["gce", "aws", "azure"]
HOST = "balancer"
Checks = Annotated[int, Field(ge=1, le=100, strict=True)]
Wait = Annotated[Duration, Field(ge=0.05, le=3600)]


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a node is checked, and how many outcomes in a row change what is believed of it."""

    interval_s: float
    timeout_s: float
    healthy_threshold: int
    unhealthy_threshold: int


CADENCES: dict[Like, Cadence] = {
    "gce": Cadence(8.0, 1.0, 1, 3),
    "aws": Cadence(10.0, 5.0, 2, 6),
    "azure": Cadence(5.0, 5.0, 1, 2),
}
"""What the providers ask for. Source: gceHc… of cloud-provider-gcp's gce.go; defaultHC… of the in-tree
aws_loadbalancer.go (an ELB's); HealthProbeDefault… of cloud-provider-azure's consts.go, whose balancer has no
timeout of its own."""


class HealthCheck(Strict):
    """How the balancer finds out whether a node takes traffic."""

    like: Like = Field("gce", description="whose interval, timeout and thresholds, where not said")
    interval_s: Wait | None = Field(None, alias="interval", description="between two checks")
    timeout_s: Wait | None = Field(None, alias="timeout", description="an answer may take so long")
    healthy_threshold: Checks | None = Field(
        None, description="so many good answers in a row, and a node gets traffic"
    )
    unhealthy_threshold: Checks | None = Field(
        None, description="so many failures in a row, and a node gets none"
    )
    probe: Literal["healthz", "nodePort"] = Field(
        "healthz",
        description="of externalTrafficPolicy Cluster: the proxy's :10256/healthz, or a connection to "
        "the node port (Local has its healthCheckNodePort)",
    )

    @property
    def cadence(self) -> Cadence:
        """With the provider's values where nothing is said."""
        usual = CADENCES[self.like]
        return Cadence(
            self.interval_s or usual.interval_s,
            self.timeout_s or usual.timeout_s,
            self.healthy_threshold or usual.healthy_threshold,
            self.unhealthy_threshold or usual.unhealthy_threshold,
        )


class Cloud(Strict):
    """The balancer of provider cloud."""

    program: Program = Field(
        "haproxy",
        description="haproxy ends connections and dials node ports; nftables and ipvs pass packets on "
        "as they came, and nodes answer clients directly",
    )
    host: Name = Field(
        HOST, description="which of hosts it runs on; one that is not there is added to the switch"
    )
    proxy_protocol: bool = Field(
        False,
        description="whether haproxy says in front of each connection whose it is",
        strict=True,
    )
    health_check: HealthCheck = Field(HealthCheck(), description="of nodes")


def with_balancer(topology: Any) -> Any:
    """A topology as it was written, its balancer's host among its hosts."""
    if not isinstance(topology, dict):
        return topology
    balancing, hosts = topology.get("loadBalancer"), topology.get("hosts") or {}
    if not isinstance(balancing, dict) or not isinstance(hosts, dict):
        return topology
    cloud = balancing.get("cloud") or {}
    if balancing.get("provider") != "cloud" or not isinstance(cloud, dict):
        return topology
    name = cloud.get("host", HOST)
    known = name in hosts or name in (topology.get("nodes") or ())
    return topology if known else {**topology, "hosts": {**hosts, name: {}}}
