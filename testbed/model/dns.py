"""A topology's `dns:`: the cluster's domain, its servers, and what they do with a query."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from testbed.model.dns_outside import OutsideKey
from testbed.model.dns_server import DNSServer, ServerKey
from testbed.model.fields import kind_of
from testbed.model.node_local import NodeLocalKey
from testbed.model.scalars import Count, Text
from testbed.model.strict import Strict


class DNSPlugin(Strict):
    """A line of a Corefile, as CoreDNS' Helm chart spells it."""

    name: Text = Field(description="as CoreDNS calls it", min_length=1)
    parameters: Text = Field("", description="what follows the name on its line")
    config_block: Text = Field("", description="the lines between its braces")


def _in_short(value: Any) -> Any:
    """`cache 30` is in short a name and its parameters."""
    if isinstance(value, str):
        name, _, parameters = value.strip().partition(" ")
        return {"name": name, "parameters": parameters.strip()}
    if isinstance(value, dict) and isinstance(value.get("parameters"), int):
        return {**value, "parameters": str(value["parameters"])}  # `parameters: 30`, as in Helm
    if not isinstance(value, dict):
        raise ValueError(f"must be a text like cache 30, or a mapping, not {kind_of(value)}")
    return value


PluginKey = Annotated[DNSPlugin, BeforeValidator(_in_short, json_schema_input_type=str | DNSPlugin)]


class DNS(Strict):
    """The cluster's DNS service."""

    domain: Annotated[
        Text, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
    ] = Field("cluster.local", description="the cluster's domain", max_length=200)
    replicas: Count = Field(2, description="how many DNS pods; 0: a cluster without DNS")
    server: ServerKey = Field(
        DNSServer(),
        description="the program in the DNS pods: testbed, or in short for external: unbound, dnsmasq, "
        "coredns",
    )
    plugins: tuple[PluginKey, ...] = Field(
        (), description="what the DNS pods do with a query (kubeadm's Corefile)"
    )
    corefile: Text = Field(
        "", description="the same as a Corefile: its file name beside the topology, or its text"
    )
    plugin_order: tuple[Text, ...] = Field(
        (), description="in which order plug-ins see a query (that of CoreDNS's plugin.cfg)"
    )
    outside: OutsideKey = Field(
        None, description="the zone in which services have names outside the cluster"
    )

    node_local: NodeLocalKey = Field(
        None, description="a cache on every node, which pods ask: true, or where it listens"
    )

    @model_validator(mode="after")
    def _said_once(self) -> DNS:
        if self.node_local is not None and not self.replicas:
            raise ValueError("nodeLocal caches what DNS pods say, and replicas: 0 leaves none")
        if self.plugins and self.corefile:
            raise ValueError("plugins and corefile say the same thing; keep one")
        if (self.plugins or self.plugin_order) and self.server.program:
            raise ValueError("plugins are of the testbed's own server; server is another program")
        if self.corefile and self.server.program not in ("", "coredns"):
            raise ValueError(f"{self.server.external[0]} reads no corefile")
        return self
