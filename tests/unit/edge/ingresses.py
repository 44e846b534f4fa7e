"""Ingresses and what they name, as clients of the API write them."""

from __future__ import annotations

import base64
from itertools import count
from typing import Any

import trustme

from testbed.model.documents import Ingress, IngressClass, Secret
from testbed.model.ingress_objects import DEFAULT_CLASS_ANNOTATION
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from testbed.store import Create, Snapshot, Store

CONTROLLER = "haproxy.org/ingress-controller"


def ingress_class(
    name: str = "haproxy", controller: str = CONTROLLER, default: bool = False
) -> Object:
    annotations = {DEFAULT_CLASS_ANNOTATION: "true"} if default else {}
    body = {"spec": {"controller": controller}}
    return IngressClass(ObjectMeta(name, annotations=annotations, rest=body))


def path(path: str, service: str, kind: str = "Prefix", port: int | str = 80) -> dict[str, Any]:
    return {"path": path, "pathType": kind, "backend": backend(service, port)}


def backend(service: str, port: int | str = 80) -> dict[str, Any]:
    key = "number" if isinstance(port, int) else "name"
    return {"service": {"name": service, "port": {key: port}}}


def ingress(name: str, *rules: tuple[str, list[dict[str, Any]]], **more: Any) -> Ingress:
    """`rules`: (host, its paths); "" is any host."""
    annotations = more.pop("annotations", {})
    spec = {
        "ingressClassName": "haproxy",
        "rules": [
            {**({"host": host} if host else {}), **({"http": {"paths": paths}} if paths else {})}
            for host, paths in rules
        ],
        **more,
    }
    return Ingress(ObjectMeta(name, "default", annotations=annotations, rest={"spec": spec}))


def service(name: str, *ports: ServicePort, **fields: Any) -> Service:
    return Service(
        ObjectMeta(name, "default", annotations=fields.pop("annotations", {})),
        ports or (ServicePort(80),),
        **fields,
    )


def endpoint_slice(name: str, *endpoints: Endpoint, **fields: Any) -> EndpointSlice:
    meta = ObjectMeta(
        f"{name}-{fields.pop('suffix', 'x')}", "default", labels={SERVICE_NAME_LABEL: name}
    )
    return EndpointSlice(meta, endpoints, fields.pop("ports", (EndpointPort(8080),)), **fields)


def tls_secret(name: str, *hosts: str, **data: str) -> Secret:
    """With a certificate for hosts; `data` in its place where it is given."""
    leaf = trustme.CA().issue_cert(*hosts)
    found = {
        "tls.crt": leaf.cert_chain_pems[0].bytes().decode(),
        "tls.key": leaf.private_key_pem.bytes().decode(),
        **{f"tls.{key}": text for key, text in data.items()},
    }
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in found.items() if text}
    return Secret(ObjectMeta(name, "default", rest={"data": encoded, "type": "kubernetes.io/tls"}))


def stored(*objects: Object) -> Snapshot:
    """Each object a second after the one before."""
    times = count()
    store = Store(now_s=lambda: float(next(times)))
    for item in objects:
        store.apply([Create(item)])
    return store.snapshot()
