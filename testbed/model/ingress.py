"""A topology's `ingress:`: a controller, its class, how it is reached, and certificates of the lab's own."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from testbed.model.scalars import Count, Duration, EmptyIfNothing, Name, Port, Text
from testbed.model.strict import Strict

Host = Annotated[
    Text,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
        max_length=253,
    ),
]
_CONTROLLER = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/\S+$"
"""A domain, and a name in it."""


class Certificate(Strict):
    """A Secret of type kubernetes.io/tls, signed by the lab's own authority."""

    hosts: tuple[Host, ...] = Field(
        description="for whom it is: names, or *.example.test", min_length=1
    )
    namespace: Name = Field("default", description="where the Secret is")


class NodePorts(Strict):
    """Where every node listens, with expose: NodePort or LoadBalancer."""

    http: Port = Field(30080, description="for http")
    https: Port = Field(30443, description="for https")


class Ingress(Strict):
    """An ingress controller: HAProxy in pods of namespace ingress-system."""

    class_name: Name = Field(
        "haproxy", alias="class", description="its IngressClass, whose ingresses it carries"
    )
    default: bool = Field(
        True, description="ingresses that name no class are of this one", strict=True
    )
    controller: Text = Field(
        "haproxy.org/ingress-controller",
        description="what spec.controller of its IngressClasses says",
        json_schema_extra={"pattern": _CONTROLLER},
    )
    replicas: Count = Field(1, description="how many pods")
    node_selector: dict[Text, Text] = Field({}, description="which nodes they run on, by labels")
    expose: Literal["hostNetwork", "NodePort", "LoadBalancer", "ClusterIP"] = Field(
        "hostNetwork",
        description="how it is reached: at its nodes' own addresses, or by a service of that type",
    )
    http_port: Port = Field(80, description="for http, of its nodes or of its service")
    https_port: Port = Field(443, description="for https")
    node_ports: Annotated[NodePorts, EmptyIfNothing] = Field(
        NodePorts(), description="of its service, where there is one"
    )
    external_traffic_policy: Literal["Cluster", "Local"] = Field(
        "Local", description="of its service: Local, and it sees the clients' own addresses"
    )
    balance: Literal["roundrobin", "static-rr", "leastconn", "random", "source", "first"] = Field(
        "roundrobin", description="which endpoint gets the next request (HAProxy's balance)"
    )
    threads: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(
        1, description="of each HAProxy: nbthread"
    )
    server_slots: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        16, description="endpoints that a backend has room for without a reload"
    )
    check_interval_s: Duration = Field(
        2.0, alias="checkInterval", description="between its own checks of endpoints; 0: none"
    )
    sync_period_s: Duration = Field(
        0.0, alias="syncPeriod", description="least time from one change of HAProxy to the next"
    )
    certificates: Annotated[dict[Name, Certificate], EmptyIfNothing] = Field(
        {}, description="Secrets that the testbed makes, by name"
    )

    @field_validator("controller")
    @classmethod
    def _is_qualified(cls, value: str) -> str:
        if not re.fullmatch(_CONTROLLER, value):
            raise ValueError(
                "is no domain with a path; write it like haproxy.org/ingress-controller"
            )
        return value

    @model_validator(mode="after")
    def _ports_differ(self) -> Ingress:
        if self.http_port == self.https_port:
            raise ValueError("httpPort and httpsPort must not be the same")
        if self.node_ports.http == self.node_ports.https:
            raise ValueError("nodePorts: http and https must not be the same")
        return self
