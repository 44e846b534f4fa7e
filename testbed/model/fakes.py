"""`fake:` of nodes and workloads: they exist only as objects, as kwok's do. One entry may stand for many.

`big: {fake: 1000}` is `big-0` to `big-999`, `big: {fake: true}` is `big` itself. A service named like a
workload that stands for many stands for as many: each has its own pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import PodSpec
from testbed.model.scheduling import NO_SCHEDULE, Taint, Toleration
from testbed.model.service import ServiceSpec
from testbed.model.topology import NodeSpec, Topology
from testbed.model.workload import Workload

NODE_ANNOTATION = "kwok.x-k8s.io/node"
"""On a Node, as kwok has it: `fake`, nobody but a fake kubelet runs it."""
_FAKE = "fake"
NODE_ANNOTATIONS = {NODE_ANNOTATION: _FAKE}
NODE_LABELS = {"type": "kwok"}
"""Of a topology's fake nodes, as in kwok's manual; its fake pods ask for them."""
TAINT = Taint(NODE_ANNOTATION, NO_SCHEDULE, _FAKE)
"""Of a topology's fake nodes: it keeps pods that are to run away."""
TOLERATION = Toleration(NODE_ANNOTATION, "Exists", effect="NoSchedule")

S = TypeVar("S", NodeSpec, Workload, ServiceSpec)


@dataclass(frozen=True, slots=True)
class Entry(Generic[S]):
    """One of those that the entry `key` of a section stands for."""

    key: str
    name: str
    spec: S


def nodes(topology: Topology) -> Iterator[Entry[NodeSpec]]:
    """All nodes, fake ones spelled out, in order."""
    return _spelled_out(topology.nodes, {key: spec.fake for key, spec in topology.nodes.items()})


def workloads(topology: Topology) -> Iterator[Entry[Workload]]:
    """All workloads, likewise."""
    fake = {key: spec.fake for key, spec in topology.workloads.items()}
    return _spelled_out(topology.workloads, fake)


def services(topology: Topology) -> Iterator[Entry[ServiceSpec]]:
    """All services, likewise."""
    fake = {key: stands_for(topology, key) for key in topology.services}
    return _spelled_out(topology.services, fake)


def stands_for(topology: Topology, service: str) -> bool | int:
    """What the service's workload says under `fake`, where it selects a workload's pods by name."""
    workload = topology.workloads.get(service)
    own = topology.services[service].selector is None
    return workload.fake if own and workload is not None else False


def count(fake: bool | int) -> int:
    """How many an entry stands for."""
    return 1 if fake is True or fake is False else fake


def names(key: str, fake: bool | int) -> Iterator[str]:
    """The names of those that an entry stands for."""
    if fake is True or fake is False:
        return iter((key,))
    return (f"{key}-{number}" for number in range(fake))


def live_nodes(topology: Topology) -> tuple[str, ...]:
    """The keys of the nodes that run."""
    return tuple(key for key, spec in topology.nodes.items() if not spec.fake)


def is_fake(node: Node) -> bool:
    """Whether nothing runs on it, and a fake kubelet says how it is."""
    return node.meta.annotations.get(NODE_ANNOTATION) == _FAKE


def wants_fake(spec: PodSpec) -> bool:
    """Whether these pods are meant for fake nodes."""
    return any(one.tolerates(TAINT) for one in spec.tolerations)


def _spelled_out(section: Mapping[str, S], fake: Mapping[str, bool | int]) -> Iterator[Entry[S]]:
    for key, spec in section.items():
        for name in names(key, fake[key]):
            yield Entry(key, name, spec)
