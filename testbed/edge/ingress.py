"""What an ingress controller serves, from a snapshot; and what is wrong with the ingresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.edge.certificates import pem_of
from testbed.edge.haproxy_text import Server
from testbed.edge.ingress_config import Certificate, Served, targets
from testbed.edge.ingress_endpoints import servers
from testbed.edge.ingress_objects import (
    ANY_HOST,
    CLASS_ANNOTATION,
    IngressRules,
    carried,
    rules_of,
)
from testbed.edge.ingress_options import Options
from testbed.edge.ingress_routes import Routes, Target, Trouble, no_class, routes_of
from testbed.model.documents import Ingress, IngressClass, Secret
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.services import Service
from testbed.store import Snapshot

WATCHED = (Ingress, IngressClass, Secret, Service, EndpointSlice)
"""The kinds that it depends on."""


def served(
    snapshot: Snapshot, options: Options, families: tuple[int, ...]
) -> tuple[Served, tuple[Trouble, ...]]:
    """What a controller with addresses of these IP families serves, and what is wrong with what it reads."""
    ingresses = carried(snapshot, options.controller)
    routes = routes_of(ingresses, snapshot)
    troubles = [*routes.troubles, *_classless(snapshot)]
    certificates = tuple(_certificates(ingresses, snapshot, troubles))
    return Served(routes, _endpoints(snapshot, routes, families), certificates), tuple(troubles)


def troubles_of(ingresses: Sequence[IngressRules], snapshot: Snapshot) -> list[Trouble]:
    """What is wrong with what one controller carries, the oldest first."""
    troubles = list(routes_of(ingresses, snapshot).troubles)
    for _ in _certificates(ingresses, snapshot, troubles):
        pass  # what is wrong with them is what is asked for here
    return troubles


def _endpoints(
    snapshot: Snapshot, routes: Routes, families: tuple[int, ...]
) -> dict[Target, tuple[Server, ...]]:
    slices = snapshot.slices_by_service()
    found: dict[Target, tuple[Server, ...]] = {}
    for target in targets(routes):
        service = snapshot.get(Service, *target.service)
        assert service is not None  # it is the snapshot that the routes are from
        mine = slices.get(target.service, ())
        found[target] = servers(service, target.port, mine, families)
    return found


def _classless(snapshot: Snapshot) -> Iterator[Trouble]:
    """Ingresses that nobody carries. The older annotation may name what is no object."""
    for item in snapshot.list(Ingress):
        name = rules_of(item).class_name
        by_annotation = CLASS_ANNOTATION in item.meta.annotations
        if name is not None and not by_annotation and snapshot.get(IngressClass, "", name) is None:
            key = item.meta.namespace, item.meta.name
            yield no_class(key, name)


def _certificates(
    ingresses: Sequence[IngressRules], snapshot: Snapshot, troubles: list[Trouble]
) -> Iterator[Certificate]:
    """Of each host one: where several ingresses have one for it, the oldest's."""
    seen: set[str] = set()
    for one in ingresses:
        for tls in one.tls:
            if not tls.secret:
                continue  # the default certificate is asked for
            pem = _pem(one, tls.secret, snapshot)
            if isinstance(pem, Trouble):
                troubles.append(pem)
                continue
            for host in tls.hosts or one.hosts:
                if host not in seen and host != ANY_HOST:
                    seen.add(host)
                    yield Certificate(f"{one.key[0]}_{tls.secret}", host.lower(), pem)


def _pem(one: IngressRules, name: str, snapshot: Snapshot) -> str | Trouble:
    secret = snapshot.get(Secret, one.key[0], name)
    shown = f"{one.key[0]}/{name}"
    if secret is None:
        message = f"there is no secret {shown}: the default certificate is shown instead"
        return Trouble(one.key, "SecretNotFound", message)
    try:
        return pem_of(secret)
    except ValueError as error:
        message = f"secret {shown}: {error}: the default certificate is shown instead"
        return Trouble(one.key, "InvalidCertificate", message)
