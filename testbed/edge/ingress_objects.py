"""Ingress and IngressClass as values, and which ingresses a controller carries.

Source: the Ingress page of Kubernetes' documentation; plugin/pkg/admission/network/defaultingressclass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.model.documents import Ingress, IngressClass
from testbed.model.ingress_objects import DEFAULT_CLASS_ANNOTATION
from testbed.model.objects.metadata import Object, with_meta
from testbed.store import Key, Snapshot

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
"""How an ingress named its class before there was a field for it."""
ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class BackendRef:
    """A port of a service; `resource`: it is something else, as in `StorageBucket static-assets`."""

    service: Key
    port: int | str
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One path of one host; `exact`: of pathType Exact, the others are prefixes."""

    host: str
    path: str
    exact: bool
    backend: BackendRef


@dataclass(frozen=True, slots=True)
class TLS:
    """Hosts, and the Secret with their certificate ("": the controller's default one)."""

    hosts: tuple[str, ...]
    secret: str


@dataclass(frozen=True, slots=True)
class IngressRules:
    """What one Ingress asks for."""

    key: Key
    uid: str
    created_s: float
    class_name: str | None
    """None: it names none."""
    hosts: tuple[str, ...]
    """Of its rules, in their order."""
    paths: tuple[Path, ...]
    default: BackendRef | None
    tls: tuple[TLS, ...]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        return "/".join(self.key)

    @property
    def secured(self) -> frozenset[str]:
        """The hosts of its `tls`; where an entry names none, those of its rules."""
        return frozenset(host for tls in self.tls for host in tls.hosts or self.hosts)


def rules_of(item: Ingress) -> IngressRules:
    """As the API has checked it."""
    spec: Mapping[str, Any] = item.body.get("spec") or {}
    namespace = item.meta.namespace
    named = spec.get("ingressClassName") or item.meta.annotations.get(CLASS_ANNOTATION)
    rules = spec.get("rules") or ()
    default = spec.get("defaultBackend")
    return IngressRules(
        (namespace, item.meta.name),
        item.meta.uid,
        item.meta.creation_s,
        named,
        tuple(dict.fromkeys(_host(rule) for rule in rules)),
        tuple(_paths(rules, namespace)),
        _backend(default, namespace) if default else None,
        tuple(
            TLS(tuple(one.get("hosts") or ()), one.get("secretName") or "")
            for one in spec.get("tls") or ()
        ),
        item.meta.annotations,
    )


def _host(rule: Mapping[str, Any]) -> str:
    return str(rule.get("host") or ANY_HOST).lower()


def _paths(rules: Iterable[Mapping[str, Any]], namespace: str) -> Iterator[Path]:
    for rule in rules:
        for one in (rule.get("http") or {}).get("paths") or ():
            exact = one.get("pathType") == "Exact"
            yield Path(
                _host(rule), one.get("path") or "/", exact, _backend(one["backend"], namespace)
            )


def _backend(body: Mapping[str, Any], namespace: str) -> BackendRef:
    service = body.get("service")
    if not service:
        resource = body.get("resource") or {}
        return BackendRef(
            (namespace, ""), 0, f"{resource.get('kind', '?')} {resource.get('name', '?')}"
        )
    port = service.get("port") or {}
    return BackendRef((namespace, service["name"]), port.get("name") or port.get("number") or 0)


# Classes


def controller_of(item: IngressClass) -> str:
    """Who sees to its ingresses, as in `haproxy.org/ingress-controller`."""
    return str((item.body.get("spec") or {}).get("controller", ""))


def classes_of(snapshot: Snapshot, controller: str) -> frozenset[str]:
    """Names of the classes that a controller carries."""
    return frozenset(
        item.meta.name for item in snapshot.list(IngressClass) if controller_of(item) == controller
    )


def default_class(classes: Iterable[IngressClass]) -> str | None:
    """The class of new ingresses that name none: of several default ones the newest, then the first by name."""
    defaults = [
        item for item in classes if item.meta.annotations.get(DEFAULT_CLASS_ANNOTATION) == "true"
    ]
    if not defaults:
        return None
    return min(defaults, key=lambda item: (-item.meta.creation_s, item.meta.name)).meta.name


def with_classes(items: Sequence[Object], snapshot: Snapshot) -> list[Object]:
    """New ingresses that name no class are given the default one, as the API gives it."""
    classes = {item.meta.name: item for item in snapshot.list(IngressClass)}
    classes |= {item.meta.name: item for item in items if isinstance(item, IngressClass)}
    default = default_class(classes.values())
    return [
        _of_class(item, default) if default and isinstance(item, Ingress) else item
        for item in items
    ]


def _of_class(item: Ingress, name: str) -> Ingress:
    if rules_of(item).class_name is not None:
        return item
    spec = {**item.body.get("spec", {}), "ingressClassName": name}
    return with_meta(item, rest={**item.body, "spec": spec})


def carried(snapshot: Snapshot, controller: str) -> list[IngressRules]:
    """The ingresses of a controller's classes, the oldest first: it is right where two want the same."""
    mine = classes_of(snapshot, controller)
    found = [rules_of(item) for item in snapshot.list(Ingress) if item.meta.deletion_s is None]
    return sorted(
        (one for one in found if one.class_name in mine),
        key=lambda one: (one.created_s, one.key),
    )
