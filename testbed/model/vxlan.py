"""The topology's `network.vxlan`: of network.cni vxlan, in the words of flannel's back end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from testbed.model.scalars import Port
from testbed.model.strict import Strict

MOST_VNI = 2**24 - 1


class VXLAN(Strict):
    """Flannel's defaults on Linux."""

    vni: Annotated[int, Field(ge=1, le=MOST_VNI, strict=True)] = Field(
        1, description="the overlay's identifier; its device is flannel.VNI"
    )
    port: Port = Field(8472, description="UDP port")
    direct_routing: bool = Field(
        False,
        alias="directRouting",
        description="no tunnel between nodes on one segment: routes as in host-gw",
        strict=True,
    )
