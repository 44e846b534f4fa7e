"""What contradicts itself where an entry of a topology stands for many (`model.fakes`)."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model import fakes
from testbed.model.fields import Mistake, Path
from testbed.model.metadata_read import NAME_HINT, is_label_name
from testbed.model.service import ServiceSpec
from testbed.model.topology import Topology

_OF_ONE = ("cluster_ip", "cluster_ips", "node_port", "health_check_node_port", "external_ips")
"""Keys of a service whose value no second one may have."""


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Names that nobody could have, and addresses and ports that many would share."""
    for section in ("nodes", "workloads"):
        for key, spec in getattr(topology, section).items():
            if spec.fake is True or not spec.fake:
                continue
            last = f"{key}-{spec.fake - 1}"
            if not is_label_name(last):
                yield Mistake((section, key), f"{last!r} is no name; {NAME_HINT}", at_key=True)
    for key, service in topology.services.items():
        many = fakes.count(fakes.stands_for(topology, key))
        if many > 1:
            yield from _shared(key, service, many)
    yield from _alike(topology)


def _shared(key: str, service: ServiceSpec, many: int) -> Iterator[Mistake]:
    path: Path = ("services", key)
    message = f"{key} stands for {many} services, which cannot share it"
    hint = "leave it out, or write a service with a selector"
    for name in _OF_ONE:
        if getattr(service, name) not in ("None", "", (), None):
            yield Mistake((*path, type(service).model_fields[name].alias or name), message, hint)
    for index, port in enumerate(service.ports):
        if port.node_port:
            yield Mistake((*path, "ports", index, "nodePort"), message, hint)


def _alike(topology: Topology) -> Iterator[Mistake]:
    seen: dict[tuple[str, str], Path] = {}
    for kind_and_name, path in _spelled_out(topology):
        first = seen.setdefault(kind_and_name, path)
        if first != path:
            message = f"{kind_and_name[1]} is one of those that {first[1]} stands for"
            yield Mistake(path, message, "rename one of them", at_key=True)


def names_taken(topology: Topology) -> dict[tuple[str, str], Path]:
    """(kind, namespace/name) -> the entry of the topology that has, or stands for, that object."""
    return dict(_spelled_out(topology))


def _spelled_out(topology: Topology) -> Iterator[tuple[tuple[str, str], Path]]:
    for node in fakes.nodes(topology):
        yield ("Node", node.name), ("nodes", node.key)
    for one in fakes.workloads(topology):
        yield ("Deployment", f"{one.spec.namespace}/{one.name}"), ("workloads", one.key)
    for service in fakes.services(topology):
        yield ("Service", f"{service.spec.namespace}/{service.name}"), ("services", service.key)
