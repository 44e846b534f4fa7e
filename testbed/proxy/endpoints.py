"""Which endpoints of a service port take traffic on a node (kube-proxy's CategorizeEndpoints,
KEP-1669 and KEP-2433).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
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
    """An endpoint, and what its slice says of it."""

    endpoint: ServiceEndpoint
    said: Endpoint

    @property
    def draining(self) -> bool:
        """It ends, but still answers: better than nobody."""
        return self.said.serving and self.said.terminating


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
            for said in item.endpoints:
                if not said.addresses:
                    continue
                ip = said.addresses[0] if family == 4 else canonical_ip(said.addresses[0])
                text = f"{ip}:{port.port}" if family == 4 else f"[{ip}]:{port.port}"
                if text not in found or found[text].said.terminating:
                    target = ServiceEndpoint(text, ip, port.port, said.node_name)
                    found[text] = Candidate(target, said)
    return [found[text] for text in sorted(found)]


def categorize(
    candidates: Sequence[Candidate], place: Place, *, use_cluster: bool, use_local: bool
) -> Categorized:
    """Sorted candidates by use. The fall-back to terminating ones is decided for each use by
    itself; topology hints are for the use by the whole cluster only.
    """
    if not candidates:
        return NOBODY
    local = [one for one in candidates if one.endpoint.node == place.node] if use_local else []
    hinted = use_cluster and any(one.said.for_nodes or one.said.for_zones for one in candidates)
    ready = _ready(candidates)
    near = _ready(_near(candidates, place)) if hinted else ready
    serving = tuple([one.endpoint for one in candidates if one.said.serving])
    return Categorized(
        cluster=(near or _draining(candidates)) if use_cluster else (),
        local=_ready(local) or _draining(local),
        ready=ready,
        # Mostly the same: one tuple is less for the collector to walk.
        serving=ready if serving == ready else serving,
        usable_anywhere=bool(ready) or any(one.draining for one in candidates),
        known=len(candidates),
        hinted=hinted,
    )


def _ready(candidates: Sequence[Candidate]) -> tuple[ServiceEndpoint, ...]:
    return tuple([one.endpoint for one in candidates if one.said.ready])


def _draining(candidates: Sequence[Candidate]) -> tuple[ServiceEndpoint, ...]:
    return tuple([one.endpoint for one in candidates if one.draining])


def _near(candidates: Sequence[Candidate], place: Place) -> Sequence[Candidate]:
    """Those that hints send this node to. A hint for the node goes before one for its zone.

    All or nothing: where one ready endpoint has no hint, or none is meant for this node, hints do
    not count.
    """
    ready = [one for one in candidates if one.said.ready]
    if all(one.said.for_nodes for one in ready):
        near = [one for one in ready if place.node in one.said.for_nodes]
        if near:
            return near
    if place.zone and all(one.said.for_zones for one in ready):
        near = [one for one in ready if place.zone in one.said.for_zones]
        if near:
            return near
    return candidates
