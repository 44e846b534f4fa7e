"""A topology's `workloads:`: pods that are alike."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from testbed.model.scalars import Count, Duration, Fake, Name, Port, Protocol, Text
from testbed.model.strict import Strict

ECHO_IMAGE = "testbed/echo"
"""The built-in server; it stands in for every image that `images:` does not map."""


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
    dns_policy: Literal["ClusterFirst", "Default", "ClusterFirstWithHostNet", "None"] = Field(
        "ClusterFirst", description="whom its pods ask for names"
    )
    dns_config: dict[str, Any] | None = Field(
        None,
        description="Kubernetes' dnsConfig: nameservers, searches, options (ndots, timeout, …)",
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
