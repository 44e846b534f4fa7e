"""The doors into a cluster: which rows the edge matrix has, and who is behind each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Door = Literal["NodePort", "LoadBalancer", "hostNetwork"]
Kind = Literal["outside", "node", "pod"]
Policy = Literal["Cluster", "Local", ""]
OUTSIDE = "client"
BALANCER = "balancer"
ADDRESS = "address"
"""A load balancer's, where it is a source."""
BESIDE, APART = "n1", "n3"
"""A node with an endpoint of its own, and one without."""
NODES = ("n1", "n2", "n3")
BACKENDS = {"web-n1-0": "n1", "web-n2-0": "n2"}
"""Pod -> its node."""
CONTROLLERS = {"ingress-n1-0": "n1", "ingress-n2-0": "n2"}
"""Of ingress, that services lead to: pod -> its node."""
AT_HOSTS = {BESIDE: BESIDE}
"""The nodes at whose own address a controller is."""


@dataclass(frozen=True, slots=True)
class Row:
    """Who dials what. `at`: the node that a pod is on, or the client itself; "" of an outside client."""

    door: Door
    policy: Policy
    """"" at a node's own address, where there is no service."""
    client: Kind
    at: str = ""
    to: str = ""
    """The node whose port is dialled; "" at a load balancer's address."""
    ingress: bool = False
    """The service is a controller's, which dials the pods itself."""

    @property
    def name(self) -> str:
        """As people read it."""
        who = {"outside": "outside client", "node": self.at, "pod": f"pod on {self.at}"}[
            self.client
        ]
        where = f"{self.to}'s port" if self.to else "the address"
        words = ("Ingress" * self.ingress, self.door, self.policy)
        return f"{' '.join(word for word in words if word)}: {who} to {where}"

    @property
    def caller(self) -> str:
        """The place that dials."""
        return {"outside": OUTSIDE, "node": self.at, "pod": f"caller-{self.at}-0"}[self.client]

    @property
    def service(self) -> str:
        """The service that is dialled: of each policy there is one."""
        return "ingress-" * self.ingress + self.policy.lower()

    @property
    def ends(self) -> Mapping[str, str]:
        """Who may take the connection -> the node that each is on."""
        if self.door == "hostNetwork":
            return AT_HOSTS
        return CONTROLLERS if self.ingress else BACKENDS


def _rows(*, ingress: bool) -> Iterator[Row]:
    for policy in _POLICIES:
        yield from _at_nodes("NodePort", policy, ingress=ingress)
        yield Row("LoadBalancer", policy, "outside", ingress=ingress)
        for kind in _INSIDE:
            for at in (BESIDE, APART):
                yield Row("LoadBalancer", policy, kind, at, ingress=ingress)
    if ingress:
        yield from _at_nodes("hostNetwork", "", ingress=True)


def _at_nodes(door: Door, policy: Policy, *, ingress: bool) -> Iterator[Row]:
    for to, other in ((BESIDE, APART), (APART, BESIDE)):
        yield Row(door, policy, "outside", "", to, ingress)
        yield Row(door, policy, "node", to, to, ingress)
        yield Row(door, policy, "node", other, to, ingress)
        yield Row(door, policy, "pod", to, to, ingress)


_POLICIES: tuple[Policy, ...] = ("Cluster", "Local")
_INSIDE: tuple[Kind, ...] = ("node", "pod")
SERVICE_ROWS = tuple(_rows(ingress=False))
INGRESS_ROWS = tuple(_rows(ingress=True))
ROWS = SERVICE_ROWS + INGRESS_ROWS
