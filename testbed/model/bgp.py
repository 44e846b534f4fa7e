"""The topology's `network.bgp`: of network.cni bgp. Names are Calico's, where it has one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from testbed.model.links import ASN
from testbed.model.scalars import Duration, Name
from testbed.model.strict import Strict

AS_NUMBER = 64512
"""Calico's default; the first of those for private use (RFC 6996)."""
LEAST_HOLD_S = 3


Seconds = Annotated[Duration, Field(ge=1, le=65535)]


class BFD(Strict):
    """Bidirectional forwarding detection (RFC 5880): peers that say nothing are lost soon."""

    interval_s: Annotated[Duration, Field(ge=0.01, le=60)] = Field(
        0.3, alias="interval", description="between two packets"
    )
    multiplier: Annotated[int, Field(ge=1, le=255, strict=True)] = Field(
        3, description="a peer is lost that was not heard for so many intervals"
    )


def _on_or_off(value: Any) -> Any:
    """`bfd: true` is one with all defaults."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class BGP(Strict):
    """How nodes and routers speak BGP."""

    as_number: ASN = Field(AS_NUMBER, description="of every node that has no asn of its own")
    node_to_node_mesh_enabled: bool | None = Field(
        None,
        description="whether each node peers with each other (unless routers speak BGP, or there "
        "are routeReflectors)",
        strict=True,
    )
    route_reflectors: tuple[Name, ...] = Field(
        (), description="nodes that pass on what other nodes tell them, who then peer with these"
    )
    hold_time_s: Seconds = Field(
        240.0, alias="holdTime", description="a peer that said nothing for so long is lost"
    )
    keepalive_time_s: Seconds | None = Field(
        None, alias="keepaliveTime", description="between words of nothing (a third of holdTime)"
    )
    graceful_restart: bool = Field(
        True, description="whether routes outlive the restart of who told them", strict=True
    )
    max_restart_time_s: Seconds = Field(
        120.0, alias="maxRestartTime", description="how long they do"
    )
    num_allowed_local_as_numbers: Annotated[int, Field(ge=0, le=255, strict=True)] | None = Field(
        None,
        alias="numAllowedLocalASNumbers",
        description="how often a node's own AS may be in a path that it takes (1 where a router of "
        "another AS is its peer)",
    )
    bfd: Annotated[
        BFD | None, BeforeValidator(_on_or_off, json_schema_input_type=BFD | bool | None)
    ] = Field(None, description="true, or its interval and multiplier (none)")

    @model_validator(mode="after")
    def _times_fit(self) -> BGP:
        if self.hold_time_s < LEAST_HOLD_S:
            raise ValueError(f"holdTime must be {LEAST_HOLD_S}s at least (RFC 4271)")
        if self.keepalive_time_s is not None and self.keepalive_time_s >= self.hold_time_s:
            raise ValueError("keepaliveTime must be shorter than holdTime")
        for key in ("hold_time_s", "keepalive_time_s", "max_restart_time_s"):
            value = getattr(self, key)
            if value is not None and value != int(value):
                raise ValueError(f"{value:g}s is no whole number of seconds: BGP has no others")
        if self.node_to_node_mesh_enabled and self.route_reflectors:
            raise ValueError("routeReflectors take the place of nodeToNodeMeshEnabled: true")
        return self
