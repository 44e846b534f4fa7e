"""A topology's objects, old and new -> the writes between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from testbed.controllers.deployment_revisions import REVISION_ANNOTATION
from testbed.ip import FAMILY_NAMES, IPNetwork, family_of
from testbed.model.allocation import allocate_all, needs_health_check
from testbed.model.load_balancer import ALLOCATED_FROM
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import Deployment
from testbed.model.service_families import with_families
from testbed.store import Create, Delete, Snapshot, Update, Write

ObjectKey = tuple[str, str, str]
"""(kind, namespace, name)."""


def key_of(item: Object) -> ObjectKey:
    return item.kind, item.meta.namespace, item.meta.name


def allocated(
    wanted: Iterable[Object], snapshot: Snapshot, service_cidrs: Sequence[IPNetwork]
) -> tuple[Object, ...]:
    """The objects with cluster addresses and node ports where the topology leaves them open.

    A service that is there keeps what it has. Raises UsageError for a clash.
    """
    wanted = tuple(wanted)
    ours = {key_of(item) for item in wanted}
    others = [item for item in snapshot.list(Service) if key_of(item) not in ours]
    services = [
        _keeping(item, snapshot, service_cidrs) for item in wanted if isinstance(item, Service)
    ]
    given = {key_of(item): item for item in allocate_all([*others, *services], service_cidrs)}
    return tuple(given[key_of(item)] if isinstance(item, Service) else item for item in wanted)


def writes(
    applied: Mapping[ObjectKey, Object], wanted: Iterable[Object], snapshot: Snapshot
) -> list[Write]:
    """What turns the objects of the last topology into those of this one.

    Objects that no topology named (pods of a Deployment, slices) are their controllers' business. What is
    equal in both topologies is left alone, whatever became of it since. A changed Pod is replaced.
    """
    found: list[Write] = []
    targets = {key_of(item): item for item in wanted}
    found += [
        Delete(*key) for key in applied if key not in targets and _exists(key, applied, snapshot)
    ]
    for key, item in targets.items():
        before = applied.get(key)
        if before == item:
            continue
        current = snapshot.get(type(item), *key[1:])
        if current is None:
            found.append(Create(item))
        elif isinstance(item, Pod):
            found += [Delete(*key, uid=current.meta.uid), Create(item)]
        elif isinstance(item, Node):
            assert isinstance(current, Node)
            found.append(Update(_as_its_kubelet_says(item, current, before)))
        elif isinstance(item, Deployment):
            assert isinstance(current, Deployment)
            found.append(Update(_as_far_as_it_is(item, current)))
        elif isinstance(item, Service):
            assert isinstance(current, Service)
            found.append(Update(_with_its_load_balancer(item, current)))
        else:
            found.append(Update(item))
    return found


def _as_its_kubelet_says(item: Node, current: Node, before: Object | None) -> Node:
    """The node as it is wanted, with its present state and what others have noted on it."""
    asked = before.meta.annotations if before is not None else {}
    noted = {key: text for key, text in current.meta.annotations.items() if key not in asked}
    return replace(
        with_meta(item, annotations={**noted, **item.meta.annotations}),
        ready=current.ready,
        unreachable=current.unreachable,
        ready_changed_s=current.ready_changed_s,
        taints=current.taints,
    )


def _as_far_as_it_is(item: Deployment, current: Deployment) -> Deployment:
    """The Deployment as it is wanted, with what its controller has noted on it."""
    noted = {
        key: text for key, text in current.meta.annotations.items() if key == REVISION_ANNOTATION
    }
    item = replace(item, status=current.status)
    return with_meta(item, annotations={**item.meta.annotations, **noted})


def _with_its_load_balancer(item: Service, current: Service) -> Service:
    """The service as it is wanted, with the addresses that a load balancer's pool has given it."""
    pool = current.meta.annotations.get(ALLOCATED_FROM)
    if pool is None:
        return item
    noted = with_meta(item, annotations={**item.meta.annotations, ALLOCATED_FROM: pool})
    return replace(noted, load_balancer_ingress=current.load_balancer_ingress)


def _exists(key: ObjectKey, applied: Mapping[ObjectKey, Object], snapshot: Snapshot) -> bool:
    return snapshot.get(type(applied[key]), *key[1:]) is not None


def _keeping(service: Service, snapshot: Snapshot, service_cidrs: Sequence[IPNetwork]) -> Service:
    """The service with the addresses and node ports that it was given before."""
    current = snapshot.get(Service, service.meta.namespace, service.meta.name)
    if current is None or service.type == "ExternalName":
        return service
    given = {(port.name, port.protocol): port.node_port for port in current.ports}
    ports = service.ports
    if service.type in {"NodePort", "LoadBalancer"}:
        ports = tuple(_with_node_port(port, given) for port in ports)
    return replace(
        service,
        cluster_ips=service.cluster_ips or _kept_addresses(service, current, service_cidrs),
        ports=ports,
        health_check_node_port=service.health_check_node_port
        or (current.health_check_node_port if needs_health_check(service) else 0),
    )


def _kept_addresses(
    service: Service, current: Service, service_cidrs: Sequence[IPNetwork]
) -> tuple[str, ...]:
    """The current addresses as far as the service's IP families are still the same ones."""
    if current.headless:
        return ()
    kept: list[str] = []
    for family, ip in zip(
        with_families(service, service_cidrs).ip_families, current.cluster_ips, strict=False
    ):
        if FAMILY_NAMES[family_of(ip)] != family:
            break
        kept.append(ip)
    return tuple(kept)


def _with_node_port(port: ServicePort, given: Mapping[tuple[str, str], int]) -> ServicePort:
    return replace(port, node_port=port.node_port or given.get((port.name, port.protocol), 0))
