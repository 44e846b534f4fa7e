"""How large the lab of a topology is."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model import fakes
from testbed.model.origin import nodes_of, origins, pod_groups, services_of
from testbed.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many there are, DNS included."""

    nodes: int
    fake_nodes: int
    pods: int
    fake_pods: int
    services: int


def sizes_of(topology: Topology) -> Sizes:
    """Of a topology's lab."""
    found, _ = origins(topology)
    groups, nodes = pod_groups(found), nodes_of(found)
    return Sizes(
        len(nodes),
        sum(map(fakes.is_fake, nodes)),
        sum(group.replicas for group in groups),
        sum(group.replicas for group in groups if fakes.wants_fake(group.spec)),
        sum(origin.stands_for for origin, _ in services_of(found)),
    )
