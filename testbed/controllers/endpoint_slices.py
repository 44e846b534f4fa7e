"""Services with a selector -> EndpointSlices; a change of one pod touches one slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_endpoints import endpoint, endpoint_ports
from testbed.controllers.selection import MANAGED_BY, MANAGED_BY_LABEL, Selection
from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta, OwnerReference, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import HEADLESS_LABEL, Service
from testbed.store import Create, Delete, Key, Snapshot, Update, Write

MAX_ENDPOINTS = 100
"""kube-controller-manager's --max-endpoints-per-slice."""

Ports = tuple[EndpointPort, ...]
_Wanted = dict[Ports, dict[str, Endpoint]]
"""Endpoints by their ports (a named port may differ from pod to pod), then by their pod's uid."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates, updates and deletes this controller's slices; a user's own slices are left alone.

    `now_s` is not used: the result depends on the state alone.
    """
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last: one that follows costs what changed."""
    known, unsettled = Selection.nothing(), set[Key]()

    def following(snapshot: Snapshot, now_s: float) -> Decision:
        nonlocal known, unsettled
        known, touched = known.following(snapshot)
        writes = {key: _writes(known, key) for key in sorted(touched | unsettled)}
        # Whether a write succeeds is not known here: until there is none to make, it is asked for again.
        unsettled = {key for key, found in writes.items() if found}
        return [write for found in writes.values() for write in found], None

    return following


def _writes(known: Selection, key: Key) -> list[Write]:
    """What brings the slices of a service in order."""
    service, have = known.service(key), known.slices(key)
    if service is None:  # it is gone, or selects no more
        return [_deleted(item) for item in have]
    nodes = known.snapshot.of(Node)
    return difference(have, _of_all_families(service, have, known.pods(service), nodes))


def address_types(service: Service) -> tuple[str, ...]:
    """The IP families that a service has slices in; one that nobody has completed is IPv4."""
    return service.ip_families or tuple(
        FAMILY_NAMES[family_of(ip)] for ip in (service.cluster_ips or ("",))
    )


def _of_all_families(
    service: Service,
    have: Sequence[EndpointSlice],
    pods: Sequence[Pod],
    nodes: Mapping[Key, Node],
) -> list[EndpointSlice]:
    """A slice holds addresses of one family: each family has slices of its own."""
    want: list[EndpointSlice] = []
    for address_type in address_types(service):
        wanted = _wanted(service, pods, nodes, address_type)
        mine = [item for item in have if item.address_type == address_type]
        others = frozenset(item.meta.name for item in (*have, *want) if item not in mine)
        want += _place(_Kind(service, address_type, others), mine, wanted)
    return want


@dataclass(frozen=True, slots=True)
class _Kind:
    """The slices of a service in one IP family; `others` are the names of its other slices."""

    service: Service
    address_type: str
    others: frozenset[str]


def _wanted(
    service: Service, pods: Iterable[Pod], nodes: Mapping[Key, Node], address_type: str
) -> _Wanted:
    wanted: _Wanted = {}
    # Pods of one template share their containers: a thousand of them need one look-up of ports.
    by_containers: dict[int, dict[str, Endpoint]] = {}
    for pod in pods:
        found = endpoint(service, pod, nodes, address_type)
        if found is not None:
            group = by_containers.get(id(pod.spec.containers))
            if group is None:
                group = wanted.setdefault(endpoint_ports(service, pod), {})
                by_containers[id(pod.spec.containers)] = group
            group[pod.meta.uid] = found
    return wanted


def _place(kind: _Kind, have: Sequence[EndpointSlice], wanted: _Wanted) -> list[EndpointSlice]:
    """The slices as they should be: an endpoint stays put, new ones fill the fullest slice first.

    Source: k8s.io/endpointslice/reconciler.go: an emptied slice is used again before a new one is
    made, and a service without endpoints keeps one empty slice.
    """
    left = {ports: dict(found) for ports, found in wanted.items()}
    placed = [_with_service(kind.service, _kept(item, left)) for item in have]
    for ports, found in left.items():
        queue = list(found.values())
        for index in _with_room(placed, ports):
            room = MAX_ENDPOINTS - len(placed[index].endpoints)
            more, queue = queue[:room], queue[room:]
            placed[index] = replace(
                placed[index], ports=ports, endpoints=(*placed[index].endpoints, *more)
            )
        while queue:
            more, queue = queue[:MAX_ENDPOINTS], queue[MAX_ENDPOINTS:]
            placed.append(_new_slice(kind, placed, ports, tuple(more)))
    filled = [item for item in placed if item.endpoints]
    return filled or placed[:1] or [_new_slice(kind, (), (), ())]


def _kept(item: EndpointSlice, left: _Wanted) -> EndpointSlice:
    """The slice with those endpoints that stay, as they are now; takes them out of `left`."""
    found = left.get(item.ports, {})
    uids = [known.target.uid for known in item.endpoints if known.target is not None]
    kept = tuple(found.pop(uid) for uid in uids if uid in found)
    return item if kept == item.endpoints else replace(item, endpoints=kept)


def _with_room(placed: Sequence[EndpointSlice], ports: Ports) -> list[int]:
    """Indices of slices that may take endpoints with these ports: fullest first, empty last."""
    fitting = [
        (len(item.endpoints), index)
        for index, item in enumerate(placed)
        if not item.endpoints or (item.ports == ports and len(item.endpoints) < MAX_ENDPOINTS)
    ]
    return [index for _, index in sorted(fitting, key=lambda entry: (-entry[0], entry[1]))]


def _with_service(service: Service, item: EndpointSlice) -> EndpointSlice:
    labels = _labels(service)
    return item if item.meta.labels == labels else with_meta(item, labels=labels)


def _labels(service: Service) -> dict[str, str]:
    labels = {
        **service.meta.labels,
        SERVICE_NAME_LABEL: service.meta.name,
        MANAGED_BY_LABEL: MANAGED_BY,
    }
    return {**labels, HEADLESS_LABEL: ""} if service.headless else labels


def _new_slice(
    kind: _Kind,
    placed: Sequence[EndpointSlice],
    ports: Ports,
    endpoints: tuple[Endpoint, ...],
) -> EndpointSlice:
    service = kind.service
    taken = kind.others.union(item.meta.name for item in placed)
    candidates = (
        f"{service.meta.name}-{name_hash([service.meta.uid, index], 5)}" for index in count()
    )
    meta = ObjectMeta(
        name=next(name for name in candidates if name not in taken),
        namespace=service.meta.namespace,
        labels=_labels(service),
        owners=(OwnerReference(service.kind, service.meta.name, service.meta.uid),),
    )
    return EndpointSlice(meta, endpoints, ports, kind.address_type)


def difference(have: Sequence[EndpointSlice], want: Sequence[EndpointSlice]) -> list[Write]:
    """What makes those that are there those that should be."""
    before = {item.meta.name: item for item in have}
    writes: list[Write] = []
    for item in want:
        known = before.pop(item.meta.name, None)
        if known is None:
            writes.append(Create(item))
        elif item != known:
            writes.append(Update(item))
    return writes + [_deleted(item) for item in before.values()]


def _deleted(item: EndpointSlice) -> Delete:
    return Delete(item.kind, item.meta.namespace, item.meta.name, item.meta.uid)
