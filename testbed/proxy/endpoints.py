"""Which endpoints of a service port take traffic on a node (kube-proxy's CategorizeEndpoints,
KEP-1669).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testbed.model.objects import Endpoint, EndpointSlice


class ServiceEndpoint(NamedTuple):
    """Where a service port may send a connection. Its text comes first: kube-proxy sorts by it."""

    text: str
    """`ip:port`."""
    ip: str
    port: int
    is_local: bool
    """The endpoint's node is this node."""


class Candidate(NamedTuple):
    """An endpoint with its conditions."""

    endpoint: ServiceEndpoint
    ready: bool
    serving: bool
    terminating: bool

    @property
    def draining(self) -> bool:
        """It ends, but still answers: better than nobody."""
        return self.serving and self.terminating


class Categorized(NamedTuple):
    """The endpoints of a service port by what may use them."""

    cluster: tuple[ServiceEndpoint, ...]
    local: tuple[ServiceEndpoint, ...]
    serving: tuple[ServiceEndpoint, ...]
    usable_anywhere: bool
    known: int


NOBODY = Categorized((), (), (), False, 0)


def collect(
    slices: Iterable[EndpointSlice], port_name: str, protocol: str, node: str
) -> list[Candidate]:
    """The endpoints of a service port from all its slices, once each, sorted by the string
    `ip:port`.

    A slice counts with the first address of each endpoint and with its IPv4 addresses only. Where
    two slices name the same ip:port, the endpoint that is not terminating is the one that is meant.
    """
    found: dict[str, Candidate] = {}
    for item in slices:
        if item.address_type != "IPv4":
            continue
        for port in item.ports:
            if port.name != port_name or port.protocol != protocol or not port.port:
                continue
            for endpoint in item.endpoints:
                if endpoint.addresses:
                    candidate = _candidate(endpoint, port.port, node)
                    text = candidate.endpoint.text
                    if text not in found or found[text].terminating:
                        found[text] = candidate
    return [found[text] for text in sorted(found)]


def _candidate(endpoint: Endpoint, port: int, node: str) -> Candidate:
    ip = endpoint.addresses[0]
    target = ServiceEndpoint(f"{ip}:{port}", ip, port, endpoint.node_name == node)
    return Candidate(target, endpoint.ready, endpoint.serving, endpoint.terminating)


def categorize(
    candidates: Sequence[Candidate], *, use_cluster: bool, use_local: bool
) -> Categorized:
    """Sorted candidates by use. The fall-back to terminating ones is decided for each use by
    itself.
    """
    if not candidates:
        return NOBODY
    local = [one for one in candidates if one.endpoint.is_local] if use_local else []
    return Categorized(
        cluster=_preferred(candidates) if use_cluster else (),
        local=_preferred(local),
        serving=tuple([one.endpoint for one in candidates if one.serving]),
        usable_anywhere=any(one.ready or one.draining for one in candidates),
        known=len(candidates),
    )


def _preferred(candidates: Sequence[Candidate]) -> tuple[ServiceEndpoint, ...]:
    ready = tuple([one.endpoint for one in candidates if one.ready])
    return ready or tuple([one.endpoint for one in candidates if one.draining])
