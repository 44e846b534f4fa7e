"""Which endpoints of a service port take traffic on a node (kube-proxy's CategorizeEndpoints,
KEP-1669 and KEP-2433).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testbed.model.objects import Endpoint, EndpointSlice
from testbed.proxy.family import ADDRESS_TYPES, canonical_ip


class ServiceEndpoint(NamedTuple):
    """Where a service port may send a connection. Its text comes first: kube-proxy sorts by it."""

    text: str
    """`ip:port`; `[ip]:port` for IPv6."""
    ip: str
    port: int
    node: str
    """The node it runs on; "" where nobody says."""


class Place(NamedTuple):
    """Where a node stands."""

    node: str
    zone: str


class Candidate(NamedTuple):
    """An endpoint with its conditions and its topology hints."""

    endpoint: ServiceEndpoint
    ready: bool
    serving: bool
    terminating: bool
    for_nodes: tuple[str, ...]
    for_zones: tuple[str, ...]

    @property
    def draining(self) -> bool:
        """It ends, but still answers: better than nobody."""
        return self.serving and self.terminating


class Categorized(NamedTuple):
    """The endpoints of a service port by what may use them."""

    cluster: tuple[ServiceEndpoint, ...]
    local: tuple[ServiceEndpoint, ...]
    ready: tuple[ServiceEndpoint, ...]
    serving: tuple[ServiceEndpoint, ...]
    usable_anywhere: bool
    known: int
    hinted: bool
    """The node's place may have made a difference to `cluster`."""


NOBODY = Categorized((), (), (), (), False, 0, False)


def collect(
    slices: Iterable[EndpointSlice], port_name: str, protocol: str, family: int
) -> list[Candidate]:
    """The endpoints of a service port from all its slices, once each, sorted by the string
    `ip:port`.

    Slices of the other address family do not count, nor does any but the first address of an
    endpoint. Where two slices name the same ip:port, the endpoint that is not terminating is the
    one that is meant.
    """
    found: dict[str, Candidate] = {}
    for item in slices:
        if item.address_type != ADDRESS_TYPES[family]:
            continue
        for port in item.ports:
            if port.name != port_name or port.protocol != protocol or not port.port:
                continue
            for endpoint in item.endpoints:
                if endpoint.addresses:
                    candidate = _candidate(endpoint, port.port, family)
                    text = candidate.endpoint.text
                    if text not in found or found[text].terminating:
                        found[text] = candidate
    return [found[text] for text in sorted(found)]


def _candidate(endpoint: Endpoint, port: int, family: int) -> Candidate:
    ip = endpoint.addresses[0]
    if family == 6:
        ip = canonical_ip(ip)
    text = f"{ip}:{port}" if family == 4 else f"[{ip}]:{port}"
    return Candidate(
        ServiceEndpoint(text, ip, port, endpoint.node_name),
        endpoint.ready,
        endpoint.serving,
        endpoint.terminating,
        endpoint.for_nodes,
        endpoint.for_zones,
    )


def categorize(
    candidates: Sequence[Candidate], place: Place, *, use_cluster: bool, use_local: bool
) -> Categorized:
    """Sorted candidates by use. The fall-back to terminating ones is decided for each use by
    itself; topology hints are for the use by the whole cluster only.
    """
    if not candidates:
        return NOBODY
    local = [one for one in candidates if one.endpoint.node == place.node] if use_local else []
    hinted = use_cluster and any(one.for_nodes or one.for_zones for one in candidates)
    ready = _ready(candidates)
    near = _ready(_near(candidates, place)) if hinted else ready
    return Categorized(
        cluster=(near or _draining(candidates)) if use_cluster else (),
        local=_ready(local) or _draining(local),
        ready=ready,
        serving=tuple([one.endpoint for one in candidates if one.serving]),
        usable_anywhere=any(one.ready or one.draining for one in candidates),
        known=len(candidates),
        hinted=hinted,
    )


def _ready(candidates: Sequence[Candidate]) -> tuple[ServiceEndpoint, ...]:
    return tuple([one.endpoint for one in candidates if one.ready])


def _draining(candidates: Sequence[Candidate]) -> tuple[ServiceEndpoint, ...]:
    return tuple([one.endpoint for one in candidates if one.draining])


def _near(candidates: Sequence[Candidate], place: Place) -> Sequence[Candidate]:
    """Those that hints send this node to. A hint for the node goes before one for its zone.

    All or nothing: where one ready endpoint has no hint, or none is meant for this node, hints do
    not count.
    """
    ready = [one for one in candidates if one.ready]
    if all(one.for_nodes for one in ready):
        near = [one for one in ready if place.node in one.for_nodes]
        if near:
            return near
    if place.zone and all(one.for_zones for one in ready):
        near = [one for one in ready if place.zone in one.for_zones]
        if near:
            return near
    return candidates
