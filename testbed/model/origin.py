"""Each object of a topology with the place in the topology that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from testbed.model import fakes
from testbed.model.addressing import NodeAddress
from testbed.model.fields import Mistake, Path
from testbed.model.ingress_objects import ingress_objects
from testbed.model.manifest import ManifestError, from_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import Deployment
from testbed.model.shorthand import deployment, dns_objects, node, service, with_probe_period
from testbed.model.topology import Topology

T = TypeVar("T", bound=Object)
_NOWHERE = NodeAddress((), ())


@dataclass(frozen=True, slots=True)
class Origin:
    """An object, and where it stands in the topology; the first of those that a fake entry stands for."""

    path: Path
    object: Object
    stands_for: int = 1

    @property
    def spec_path(self) -> Path:
        """Where its spec's keys are: shorthand has no `spec` of its own."""
        return (*self.path, "spec") if self.path[0] == "manifests" else self.path

    @property
    def pod_path(self) -> Path:
        """Where its pods' keys are."""
        if self.path[0] == "manifests" and isinstance(self.object, Deployment):
            return (*self.path, "spec", "template", "spec")
        return self.spec_path


def origins(topology: Topology) -> tuple[list[Origin], list[Mistake]]:
    """All objects that could be made, and why the others could not. Nodes have no address yet."""
    found: list[Origin] = []
    mistakes: list[Mistake] = []
    for path, make, stands_for in _makers(topology):
        try:
            found.append(Origin(path, make(), stands_for))
        except ManifestError as error:
            mistakes.extend(mistake.below(path) for mistake in error.mistakes)
    return found, mistakes


def _makers(topology: Topology) -> Iterator[tuple[Path, Callable[[], Object], int]]:
    period_s = topology.timing.probe_period_s
    for one in fakes.nodes(topology):
        yield ("nodes", one.key), partial(node, one.name, one.spec, _NOWHERE), 1
    for item in dns_objects(topology.dns, topology.network, topology.timing.probe_period_s):
        yield ("dns",), partial(_itself, item), 1
    for item in ingress_objects(topology.ingress, period_s, len(topology.network.families)):
        yield ("ingress",), partial(_itself, item), 1
    for key, workload in topology.workloads.items():
        first = next(fakes.names(key, workload.fake))
        makes = partial(deployment, first, workload, period_s)
        yield ("workloads", key), makes, fakes.count(workload.fake)
    for key, spec in topology.services.items():
        fake = fakes.stands_for(topology, key)
        first = next(fakes.names(key, fake))
        makes_service = partial(service, first, spec, topology.workloads.get(key))
        yield ("services", key), makes_service, fakes.count(fake)
    for index, manifest in enumerate(topology.manifests):
        if isinstance(manifest, dict):
            completed = with_probe_period(manifest, period_s)
            yield ("manifests", index), partial(from_manifest, completed), 1


def _itself(item: Object) -> Object:
    return item


def nodes_of(found: list[Origin]) -> list[Node]:
    """The nodes among them."""
    return [origin.object for origin in found if isinstance(origin.object, Node)]


def services_of(found: list[Origin]) -> list[tuple[Origin, Service]]:
    """The services among them."""
    return [(origin, origin.object) for origin in found if isinstance(origin.object, Service)]


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods that are alike: those of one Deployment (and of all that its entry stands for), or one Pod."""

    origin: Origin
    spec: PodSpec
    labels: dict[str, str]
    namespace: str
    replicas: int
    names: frozenset[str] = frozenset()
    """The workloads that it stands for, where they are many."""


def pod_groups(found: list[Origin]) -> list[PodGroup]:
    """All pods to be, by what makes them."""
    groups: list[PodGroup] = []
    for origin in found:
        item = origin.object
        if isinstance(item, Deployment):
            template = item.template
            labels, namespace = dict(template.labels), item.meta.namespace
            replicas = item.replicas * origin.stands_for
            names = fakes.names(str(origin.path[-1]), origin.stands_for)
            many = frozenset(names) if origin.stands_for > 1 else frozenset[str]()
            groups.append(PodGroup(origin, template.spec, labels, namespace, replicas, many))
        elif isinstance(item, Pod):
            labels, namespace = dict(item.meta.labels), item.meta.namespace
            groups.append(PodGroup(origin, item.spec, labels, namespace, 1))
    return groups
