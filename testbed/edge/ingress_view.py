"""Ingresses as `inspect` has them: what each asks for, where it is reached, what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from testbed.edge.ingress import troubles_of
from testbed.edge.ingress_controllers import controller_pods
from testbed.edge.ingress_objects import BackendRef, IngressRules, Path, controller_of, rules_of
from testbed.edge.ingress_routes import Trouble, no_class
from testbed.model.documents import Ingress, IngressClass
from testbed.model.ingress_objects import IMAGE
from testbed.store import Key, Snapshot


def ingresses(snapshot: Snapshot) -> list[dict[str, Any]]:
    """A row of each, ordered by name."""
    items = {(item.meta.namespace, item.meta.name): item for item in snapshot.list(Ingress)}
    rules = {key: rules_of(items[key]) for key in sorted(items)}
    troubles = _troubles(list(rules.values()), snapshot)
    return [_row(one, addresses_of(items[key]), troubles[key]) for key, one in rules.items()]


def _row(one: IngressRules, addresses: list[str], troubles: list[Trouble]) -> dict[str, Any]:
    namespace, name = one.key
    return {
        "namespace": namespace,
        "name": name,
        "class": one.class_name,
        "addresses": addresses,
        "hosts": list(one.hosts),
        "paths": [_path(path) for path in one.paths],
        "defaultBackend": _backend(one.default) if one.default else None,
        "tls": [{"hosts": list(tls.hosts), "secret": tls.secret} for tls in one.tls],
        "troubles": [{"reason": found.reason, "message": found.message} for found in troubles],
    }


def _path(path: Path) -> dict[str, Any]:
    kind = "Exact" if path.exact else "Prefix"
    return {"host": path.host, "path": path.path, "pathType": kind, **_backend(path.backend)}


def _backend(backend: BackendRef) -> dict[str, Any]:
    """`resource` where it is no service."""
    if backend.resource:
        return {"service": None, "port": None, "resource": backend.resource}
    return {"service": backend.service[1], "port": backend.port}


def addresses_of(item: Ingress) -> list[str]:
    """Where its status says that it is reached."""
    status: Mapping[str, Any] = item.body.get("status") or {}
    points = (status.get("loadBalancer") or {}).get("ingress") or ()
    return [point.get("ip") or point.get("hostname") for point in points]


def _troubles(found: list[IngressRules], snapshot: Snapshot) -> Mapping[Key, list[Trouble]]:
    """By ingress: why nobody serves it, then what its controller says, or would say of it alone."""
    classes = {item.meta.name: controller_of(item) for item in snapshot.list(IngressClass)}
    ready: dict[str, bool] = defaultdict(bool)
    for pod, options in controller_pods(snapshot):
        ready[options.controller] |= pod.status.ready and pod.meta.deletion_s is None
    groups: dict[tuple[str, Key | None], list[IngressRules]] = defaultdict(list)
    for one in sorted(found, key=lambda one: (one.created_s, one.key)):
        controller = classes.get(one.class_name or "", "")
        groups[(controller, None) if controller in ready else ("", one.key)].append(one)
    troubles: dict[Key, list[Trouble]] = defaultdict(list)
    for one in found:
        troubles[one.key] += _unserved(one, classes, ready)
    for group in groups.values():
        for trouble in troubles_of(group, snapshot):
            troubles[trouble.ingress].append(trouble)
    return troubles


def _unserved(
    one: IngressRules, classes: Mapping[str, str], ready: Mapping[str, bool]
) -> Iterator[Trouble]:
    name = one.class_name
    if name is None:
        message = "it names no IngressClass, and none was the default one when it was made"
        yield Trouble(one.key, "NoIngressClass", message)
    elif name not in classes:
        there = ", ".join(sorted(classes)) or "none"
        missing = no_class(one.key, name)
        yield replace(missing, message=f"{missing.message}; there is {there}")
    elif classes[name] not in ready:
        message = f"no pod of {IMAGE} has --controller={classes[name]}, as class {name} wants it"
        yield Trouble(one.key, "NoController", message)
    elif not ready[classes[name]]:
        message = f"no pod of class {name}'s controller, {classes[name]}, is ready"
        yield Trouble(one.key, "ControllerNotReady", message)
