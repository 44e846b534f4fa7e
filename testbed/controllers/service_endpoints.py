"""v1 Endpoints of services that select pods: what their EndpointSlices say, in the older form.

Only the primary family's ready and not ready addresses; terminating ones are left out. Source:
pkg/controller/endpoint/endpoints_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from immutables import Map

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import following
from testbed.controllers.object_deletion import removed
from testbed.controllers.selection import MANAGED_BY, MANAGED_BY_LABEL, regrouped
from testbed.model.documents import Endpoints
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort, EndpointSlice
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.services import HEADLESS_LABEL, Service
from testbed.store import Create, Key, Snapshot, Update, Write

Json = dict[str, Any]
ENDPOINTS_MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
_CONTROLLER = "endpoint-controller"
OVER_CAPACITY_ANNOTATION = "endpoints.kubernetes.io/over-capacity"
MOST_ADDRESSES = 1000
"""Of one object; what is more is left out, not ready ones first."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates, updates and deletes this controller's Endpoints; hand-made ones are left alone."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    slices: Map[Key, frozenset[Key]] = Map()

    def touched(then: Snapshot, now: Snapshot) -> set[Key]:
        nonlocal slices
        changed = now.of(EndpointSlice).changed_since(then.of(EndpointSlice))
        slices = regrouped(slices, changed, _service)
        services = {one.service for pair in changed.values() for one in pair if one is not None}
        own = now.of(Endpoints).changed_since(then.of(Endpoints))
        return {*services, *own, *now.of(Service).changed_since(then.of(Service))}

    def decide(now: Snapshot, key: Key, _now_s: float) -> Decision:
        mine = now.of(EndpointSlice).in_order(slices.get(key, ()))
        return _difference(now, key, mine), None

    return following(touched, decide)


def _service(item: EndpointSlice) -> tuple[Key, ...]:
    return (item.service,) if item.meta.labels.get(MANAGED_BY_LABEL) == MANAGED_BY else ()


def _difference(snapshot: Snapshot, key: Key, slices: list[EndpointSlice]) -> list[Write]:
    service, have = snapshot.get(Service, *key), snapshot.get(Endpoints, *key)
    if service is None or not service.selector or service.type == "ExternalName":
        is_ours = (
            have is not None and have.meta.labels.get(ENDPOINTS_MANAGED_BY_LABEL) == _CONTROLLER
        )
        # A service that has lost its selector keeps its Endpoints: they are somebody's to edit now.
        return [removed(have)] if have is not None and is_ours and service is None else []
    if not slices:
        return []  # those of a new service are about to be made
    want = endpoints_of(service, slices)
    if have is None:
        return [Create(want)]
    after = with_meta(
        have,
        labels=want.meta.labels,
        annotations=_noted(have.meta.annotations, want.meta.annotations),
        rest={**have.meta.rest, "subsets": want.body["subsets"]},
    )
    return [] if after == have else [Update(after)]


def _noted(have: Mapping[str, str], want: Mapping[str, str]) -> dict[str, str]:
    kept = {key: text for key, text in have.items() if key != OVER_CAPACITY_ANNOTATION}
    return {**kept, **want}


def endpoints_of(service: Service, slices: Iterable[EndpointSlice]) -> Endpoints:
    """A service's Endpoints, made of its slices of the primary family."""
    family = next(iter(service.ip_families), "IPv4")
    mine = sorted(
        (item for item in slices if item.address_type == family), key=lambda item: item.meta.name
    )
    labels = {**service.meta.labels, ENDPOINTS_MANAGED_BY_LABEL: _CONTROLLER}
    if service.headless:
        labels[HEADLESS_LABEL] = ""
    kept = list(_within(mine))
    left_out = sum(map(len, map(_alive, kept))) < sum(map(len, map(_alive, mine)))
    meta = ObjectMeta(
        service.meta.name,
        service.meta.namespace,
        labels=labels,
        annotations={OVER_CAPACITY_ANNOTATION: "truncated"} if left_out else {},
        rest={"subsets": list(_subsets(kept))},
    )
    return Endpoints(meta)


def _alive(item: EndpointSlice) -> list[Endpoint]:
    return [one for one in item.endpoints if one.addresses and not one.terminating]


def _within(slices: list[EndpointSlice]) -> Iterator[EndpointSlice]:
    """The slices with no more addresses than one object may have: the ready ones first."""
    room = MOST_ADDRESSES
    ready = [one for item in slices for one in _alive(item) if one.ready]
    ready_room, other_room = min(room, len(ready)), max(0, room - len(ready))
    for item in slices:
        kept = []
        for one in _alive(item):
            if one.ready and ready_room:
                ready_room -= 1
                kept.append(one)
            elif not one.ready and other_room:
                other_room -= 1
                kept.append(one)
        yield replace(item, endpoints=tuple(kept))


def _subsets(slices: Iterable[EndpointSlice]) -> Iterator[Json]:
    """One for each set of ports, sorted as Kubernetes repacks them."""
    by_ports: dict[tuple[EndpointPort, ...], list[Endpoint]] = {}
    for item in slices:
        if item.endpoints:
            by_ports.setdefault(item.ports, []).extend(item.endpoints)
    for ports, found in by_ports.items():
        subset: Json = {}
        for key, wanted in (("addresses", True), ("notReadyAddresses", False)):
            mine = [one for one in found if one.ready is wanted]
            if mine:
                subset[key] = [_address(one) for one in sorted(mine, key=_order)]
        yield {**subset, "ports": [_port(port) for port in ports]}


def _order(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.addresses[0], endpoint.target.uid if endpoint.target else ""


def _address(endpoint: Endpoint) -> Json:
    address: Json = {"ip": endpoint.addresses[0]}
    if endpoint.hostname:
        address["hostname"] = endpoint.hostname
    if endpoint.node_name:
        address["nodeName"] = endpoint.node_name
    target = endpoint.target
    if target is not None:
        reference = {"kind": "Pod", "namespace": target.namespace, "name": target.name}
        address["targetRef"] = {**reference, "uid": target.uid} if target.uid else reference
    return address


def _port(port: EndpointPort) -> Json:
    named = {"name": port.name} if port.name else {}
    return {**named, "port": port.port, "protocol": port.protocol}
