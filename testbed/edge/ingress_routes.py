"""From the ingresses of a controller to its routes: which host and path leads to which service's port.

Source: the Ingress page of Kubernetes' documentation: an exact host before a wildcard, the longest path first,
Exact before Prefix; what matches nothing goes to a default backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from testbed.edge import ingress_annotations
from testbed.edge.ingress_objects import ANY_HOST, BackendRef, IngressRules, Path
from testbed.model.objects.services import Service, ServicePort
from testbed.store import Key, Snapshot


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a service as it is, and how its endpoints are balanced ("": as the controller's are)."""

    service: Key
    port: ServicePort
    balance: str = ""
    rewrite: str = ""
    """What `replace-path` is told; "": paths go on as they are."""


@dataclass(frozen=True, slots=True)
class Route:
    """`target` None: what there is no service for, which is answered with 503."""

    target: Target | None
    redirect: str = ""
    """The code by which requests over http are sent to https."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an Ingress, for an Event of its."""

    ingress: Key
    reason: str
    message: str


def no_class(ingress: Key, name: str) -> Trouble:
    """It names a class that is not there."""
    return Trouble(ingress, "IngressClassNotFound", f"there is no IngressClass {name}")


@dataclass(slots=True)
class Routes:
    """`exact` and `prefix`: host -> path -> route. Paths of prefixes end with /, and are of whole elements."""

    exact: dict[str, dict[str, Route]] = field(default_factory=dict)
    prefix: dict[str, dict[str, Route]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def hosts(self) -> list[str]:
        return sorted({*self.exact, *self.prefix})

    def all(self) -> Iterator[Route]:
        for table in (self.exact, self.prefix):
            for paths in table.values():
                yield from paths.values()


def routes_of(ingresses: Sequence[IngressRules], snapshot: Snapshot) -> Routes:
    """Of ingresses, the oldest first: where two want the same host and path, it has it."""
    found = Routes()
    owners: dict[tuple[str, str, bool], IngressRules] = {}
    for one in ingresses:
        found.troubles += [
            Trouble(one.key, "InvalidAnnotation", text)
            for text in ingress_annotations.mistakes(one.annotations)
        ]
        for path in one.paths:
            _add(found, owners, one, path, snapshot)
    _defaults(found, ingresses, snapshot)
    return found


def _add(
    found: Routes,
    owners: dict[tuple[str, str, bool], IngressRules],
    one: IngressRules,
    path: Path,
    snapshot: Snapshot,
) -> None:
    text = path.path if path.exact else prefix_of(path.path)
    shown = f"{path.host}{path.path}"
    if any(character.isspace() for character in text):
        found.troubles.append(Trouble(one.key, "InvalidPath", f"path {path.path!r} has a space"))
        return
    owner = owners.setdefault((path.host, text, path.exact), one)
    if owner is not one:
        message = f"{shown} is {owner.name}'s already, which is older"
        found.troubles.append(Trouble(one.key, "HostPathTaken", message))
        return
    table = found.exact if path.exact else found.prefix
    table.setdefault(path.host, {})[text] = _route(found, one, path.backend, path.host, snapshot)


def prefix_of(path: str) -> str:
    """`/cart` and `/cart/` are the same prefix, and none of `/carts`."""
    return path.rstrip("/") + "/"


def _defaults(found: Routes, ingresses: Sequence[IngressRules], snapshot: Snapshot) -> None:
    """What no path of a host matches goes to the default backend of its own ingress, then to the oldest."""
    common: Route | None = None
    for one in ingresses:
        if one.default is None:
            continue
        common = common or _route(found, one, one.default, ANY_HOST, snapshot)
        for host in one.hosts:
            route = _route(found, one, one.default, host, snapshot)
            found.prefix.setdefault(host, {}).setdefault("/", route)
    if common is None:
        return
    for host in {ANY_HOST, *(host for one in ingresses for host in one.hosts)}:
        found.prefix.setdefault(host, {}).setdefault("/", common)


def _route(
    found: Routes, one: IngressRules, backend: BackendRef, host: str, snapshot: Snapshot
) -> Route:
    is_secured = host in one.secured
    redirect = ingress_annotations.redirects(one.annotations, is_secured=is_secured)
    target = _target(backend, one, snapshot)
    if isinstance(target, Trouble):
        if target not in found.troubles:
            found.troubles.append(target)
        return Route(None, redirect)
    return Route(target, redirect)


def _target(backend: BackendRef, one: IngressRules, snapshot: Snapshot) -> Target | Trouble:
    if backend.resource:
        message = f"backend {backend.resource}: only services are served here"
        return Trouble(one.key, "UnsupportedBackend", message)
    name = "/".join(backend.service)
    service = snapshot.get(Service, *backend.service)
    if service is None:
        return Trouble(one.key, "ServiceNotFound", f"there is no service {name}")
    if service.type == "ExternalName":
        message = f"service {name} is an ExternalName, which has no endpoints"
        return Trouble(one.key, "UnsupportedBackend", message)
    port = _port(service, backend.port)
    if port is None:
        ports = ", ".join(f"{port.port} {port.name}".strip() for port in service.ports)
        message = f"service {name} has no TCP port {backend.port}; it has {ports or 'none'}"
        return Trouble(one.key, "ServicePortNotFound", message)
    said: Mapping[str, str] = service.meta.annotations
    asked = ingress_annotations.balance(said) or ingress_annotations.balance(one.annotations)
    return Target(backend.service, port, asked, ingress_annotations.rewrite(one.annotations))


def _port(service: Service, wanted: int | str) -> ServicePort | None:
    for port in service.ports:
        if port.protocol == "TCP" and wanted in (port.port, port.name):
            return port
    return None
