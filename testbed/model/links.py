"""The underlay: machines beside the nodes, and the links between all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field, model_validator

from testbed.model.scalars import MTU, Duration, EmptyIfNothing, Fraction, Name, Rate
from testbed.model.shape import Shape
from testbed.model.strict import Strict

ASN = Annotated[int, Field(ge=1, le=4_294_967_294, strict=True)]
Queue = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class HostSpec(Strict):
    """A machine outside the cluster; without `links` on the same switch as the nodes."""


class RouterSpec(Strict):
    """A machine that forwards between its links, by static routes."""

    asn: ASN | None = Field(
        None, description="its autonomous system, where the pod network is bgp (none: no BGP)"
    )


class Direction(Strict):
    """What happens to packets on a link one way."""

    delay_s: Duration = Field(0.0, alias="delay", description="how long a packet is under way")
    jitter_s: Duration = Field(0.0, alias="jitter", description="up to so much more or less delay")
    rate_bps: Rate | None = Field(None, alias="rate", description="none: not limited")
    queue: Queue | None = Field(None, description="packets that may wait for the rate (1000)")
    loss: Fraction = Field(0.0, description="share of packets lost")


class Back(Strict):
    """What is otherwise on a link the other way; what is not said is as it is there."""

    delay_s: Duration | None = Field(None, alias="delay", description="how long it is under way")
    jitter_s: Duration | None = Field(None, alias="jitter", description="more or less delay")
    rate_bps: Rate | None = Field(None, alias="rate", description="how much passes")
    queue: Queue | None = Field(None, description="packets that may wait for the rate")
    loss: Fraction | None = Field(None, description="share of packets lost")

    def said(self) -> dict[str, float | int]:
        """By the name of a `Shape`'s field."""
        return {name: value for name, value in self if value is not None}


class Link(Direction):
    """A link of the underlay. Names that are neither nodes, hosts nor routers are switches."""

    endpoints: tuple[Name, Name] = Field(description="what it joins")
    back: Annotated[Back, EmptyIfNothing] = Field(
        Back(), description="what is otherwise from the second endpoint to the first"
    )
    mtu: MTU | None = Field(None, description="in bytes (network.mtu)")

    @model_validator(mode="after")
    def _can_be_shaped(self) -> Link:
        self.shapes()
        return self

    def shapes(self) -> tuple[Shape, Shape]:
        """Of what goes from the first endpoint to the second, and of what comes back. Raises ValueError."""
        there = Shape(self.delay_s, self.jitter_s, self.loss, self.rate_bps, self.queue)
        said = self.back.said()
        if not said:
            return there, there
        try:
            return there, replace(there, **said)  # type: ignore[arg-type]
        except ValueError as mistake:
            raise ValueError(
                f"from {self.endpoints[1]} to {self.endpoints[0]}: {mistake}"
            ) from None


class Rack(Strict):
    """Machines on one switch, which is named as the key, and what that is joined to: links, in short."""

    machines: tuple[Name, ...] = Field(description="nodes and hosts in it", min_length=1)
    router: Name | None = Field(
        None,
        description="its top-of-rack router, one of routers (none: the switch has the uplinks)",
    )
    uplinks: tuple[Name, ...] = Field((), description="routers and switches above it")
    link: Annotated[Direction, EmptyIfNothing] = Field(
        Direction(), description="of each machine's link, both ways"
    )
    uplink: Annotated[Direction, EmptyIfNothing] = Field(
        Direction(), description="of each uplink, both ways"
    )

    @model_validator(mode="after")
    def _can_be_shaped(self) -> Rack:
        for key, direction in (("link", self.link), ("uplink", self.uplink)):
            try:
                _alike("a", "b", direction).shapes()
            except ValueError as mistake:
                raise ValueError(f"{key}: {mistake}") from None
        return self

    def links(self, name: str) -> list[Link]:
        """What the rack of that name stands for."""
        found = [_alike(machine, name, self.link) for machine in self.machines]
        if self.router is not None:
            found.append(_alike(name, self.router, Direction()))
        top = self.router or name
        return [*found, *(_alike(top, above, self.uplink) for above in self.uplinks)]


def _alike(one: str, other: str, both_ways: Direction) -> Link:
    said = {key: getattr(both_ways, key) for key in both_ways.model_fields_set}
    return Link.model_construct(endpoints=(one, other), **said)
