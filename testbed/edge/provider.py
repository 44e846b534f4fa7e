"""What makes load balancers' addresses lead to nodes. `l2`, `bgp` and `cloud` are one each, in `lab`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from testbed.edge.balanced import Balanced
from testbed.model.topology import Topology

CONTROL_PLANE = ""
"""As the name of who is told: a controller beside the API server, which is told at once."""


class Provider(Protocol):
    """One of a lab's. All methods are called in its event loop and return at once, but for `end`."""

    @property
    def name(self) -> str:
        """As `loadBalancer.provider` says it."""

    @property
    def ip_mode(self) -> str:
        """VIP: packets reach nodes with the service's address; Proxy: with another."""

    @property
    def cleans_up(self) -> bool:
        """Whether its services have Kubernetes' finalizer, as those of clouds."""

    def follow(self, topology: Topology) -> None:
        """The lab has these machines from now on; called before its nodes start, and at each change."""

    def node_started(self, name: str) -> None:
        """A node runs; what it serves it is told next."""

    def node_stopped(self, name: str) -> None:
        """It has no power, or is no more."""

    def tell(self, who: str, services: tuple[Balanced, ...]) -> None:
        """What a node (or CONTROL_PLANE) knows of the services by now: all of them. One that does not reach the
        API server is told nothing.
        """

    def missing(self, services: tuple[Balanced, ...]) -> str:
        """What has still to come about before clients can reach these services, in a line; "": nothing."""

    def view(self) -> Mapping[str, Any]:
        """What `inspect` says of it, beside its name."""

    async def end(self) -> None:
        """End what it runs."""
