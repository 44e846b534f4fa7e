"""Endpoints that somebody has made by hand -> EndpointSlices, which are all that proxies read.

Source: pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from typing import Any

from immutables import Map

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.endpoint_slices import difference
from testbed.controllers.following import following
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_making import owned_by
from testbed.controllers.selection import MANAGED_BY_LABEL, regrouped
from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.documents import Endpoints
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service
from testbed.store import Key, Snapshot

Json = Mapping[str, Any]
MANAGED_BY = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
MOST_OF_A_SUBSET = 1000
"""--mirroring-max-endpoints-per-subset."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates, updates and deletes the mirrored slices."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    slices: Map[Key, frozenset[Key]] = Map()

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        nonlocal slices
        changed = now.of(EndpointSlice).changed_since(then.of(EndpointSlice))
        slices = regrouped(slices, changed, _mirrors)
        found = {key for pair in changed.values() for one in pair if one for key in _mirrors(one)}
        found.update(now.of(Service).changed_since(then.of(Service)))
        return found.union(now.of(Endpoints).changed_since(then.of(Endpoints)))

    def decide(now: Snapshot, key: Key, _now_s: float) -> Decision:
        return _decided(now, key, now.of(EndpointSlice).in_order(slices.get(key, ())))

    return following(touched, decide)


def _mirrors(item: EndpointSlice) -> tuple[Key, ...]:
    """What a slice of this controller mirrors."""
    return (item.service,) if item.meta.labels.get(MANAGED_BY_LABEL) == MANAGED_BY else ()


def _decided(snapshot: Snapshot, key: Key, have: list[EndpointSlice]) -> Decision:
    service, found = snapshot.get(Service, *key), snapshot.get(Endpoints, *key)
    if service is None or service.selector or found is None or not _is_mirrored(found):
        return difference(have, []), None
    return difference(have, _mirrored(found, have)), None


def _is_mirrored(item: Endpoints) -> bool:
    if item.meta.deletion_s is not None or LEADER_ANNOTATION in item.meta.annotations:
        return False
    return item.meta.labels.get(SKIP_LABEL) != "true"


def _mirrored(item: Endpoints, have: list[EndpointSlice]) -> list[EndpointSlice]:
    """A slice per subset and address family; one that is there and has the same ports is used again."""
    left = list(have)
    taken = {one.meta.name for one in have}
    slices = []
    for address_type, ports, endpoints in _parts(item):
        same = next(
            (one for one in left if (one.address_type, one.ports) == (address_type, ports)), None
        )
        if same is None:
            name = _free_name(item, taken)
            taken.add(name)
            meta = _meta(item, name)
        else:
            left.remove(same)
            meta = _like(same.meta, _meta(item, same.meta.name))
        slices.append(EndpointSlice(meta, endpoints, ports, address_type))
    return slices


def _parts(item: Endpoints) -> Iterator[tuple[str, tuple[EndpointPort, ...], tuple[Endpoint, ...]]]:
    merged: dict[tuple[str, tuple[EndpointPort, ...]], dict[str, Endpoint]] = {}
    for subset in item.body.get("subsets") or ():
        ports = tuple(_port(port) for port in subset.get("ports") or ())
        found = [
            *((one, True) for one in subset.get("addresses") or ()),
            *((one, False) for one in subset.get("notReadyAddresses") or ()),
        ]
        for address, ready in islice(found, MOST_OF_A_SUBSET):
            address_type = FAMILY_NAMES[family_of(address["ip"])]
            # Of one address that is said twice, ready counts.
            here = merged.setdefault((address_type, ports), {})
            if ready or address["ip"] not in here:
                here[address["ip"]] = _endpoint(address, ready=ready)
    for (address_type, ports), endpoints in merged.items():
        yield address_type, ports, tuple(endpoints.values())


def _port(port: Json) -> EndpointPort:
    return EndpointPort(port["port"], port.get("name") or "", port.get("protocol") or "TCP")


def _endpoint(address: Json, *, ready: bool) -> Endpoint:
    target = address.get("targetRef") or {}
    is_pod = target.get("kind") == "Pod"
    return Endpoint(
        addresses=(address["ip"],),
        ready=ready,
        serving=ready,
        node_name=address.get("nodeName") or "",
        hostname=address.get("hostname") or "",
        target=TargetRef(target.get("namespace", ""), target.get("name", ""), target.get("uid", ""))
        if is_pod
        else None,
    )


def _meta(item: Endpoints, name: str) -> ObjectMeta:
    own = {SERVICE_NAME_LABEL: item.meta.name, MANAGED_BY_LABEL: MANAGED_BY}
    annotations = {key: text for key, text in item.meta.annotations.items() if key != _LAST_APPLIED}
    return ObjectMeta(
        name,
        item.meta.namespace,
        labels={**item.meta.labels, **own},
        annotations=annotations,
        owners=(owned_by(item),),
    )


def _like(have: ObjectMeta, want: ObjectMeta) -> ObjectMeta:
    """What is there, saying what it should."""
    if (have.labels, have.annotations, have.owners) == (want.labels, want.annotations, want.owners):
        return have
    return replace(have, labels=want.labels, annotations=want.annotations, owners=want.owners)


def _free_name(item: Endpoints, taken: Iterable[str]) -> str:
    candidates = (f"{item.meta.name}-{name_hash([item.meta.uid, index], 5)}" for index in count())
    return next(name for name in candidates if name not in set(taken))
