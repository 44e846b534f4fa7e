"""What an Ingress, an IngressClass, a ServiceCIDR and an IPAddress must be.

Source: `pkg/apis/networking/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import PATH_TYPES
from testbed.apiserver.validation.formats import (
    cidr,
    dns_1035_label,
    dns_label,
    dns_subdomain,
    ip,
    path_segment,
    port_name,
    port_number,
    wildcard_subdomain,
)
from testbed.apiserver.validation.place import IMMUTABLE, Place

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")


def ingress(item: Place) -> None:
    """Hosts and paths, and the services behind them."""
    spec = item["spec"]
    if not spec["rules"] and spec["defaultBackend"].value is None:
        spec.invalid("either `defaultBackend` or `rules` must be specified", value=[])
    if spec["defaultBackend"].value is not None:
        _backend(spec["defaultBackend"])
    for rule in spec["rules"].items():
        _host(rule["host"])
        if rule["http"].value is not None:
            _paths(rule["http"]["paths"])
    for tls in spec["tls"].items():
        for host in tls["hosts"].items():
            host.invalid(*_host_name(host.text))
        if tls["secretName"]:
            tls["secretName"].invalid(*dns_subdomain(tls["secretName"].text))
    if spec["ingressClassName"].value is not None:
        spec["ingressClassName"].invalid(*dns_subdomain(spec["ingressClassName"].text))


def ingress_created(item: Place) -> None:
    """The class by its old annotation is that of the field."""
    annotations = item["metadata"]["annotations"].mapping
    name = item["spec"]["ingressClassName"].value
    said = annotations.get(_CLASS_ANNOTATION)
    if said is not None and name is not None and said != name:
        at = Place(said, f"annotations.{_CLASS_ANNOTATION}", item.causes)
        at.invalid("must match `ingressClassName` when both are specified")


def _host(host: Place) -> None:
    if not host:
        return
    if not ip(host.text):
        host.invalid("must be a DNS name, not an IP address")
    host.invalid(*_host_name(host.text))


def _host_name(text: str) -> list[str]:
    return wildcard_subdomain(text) if "*" in text else dns_subdomain(text)


def _paths(paths: Place) -> None:
    if not paths:
        paths.required()
    for path in paths.items():
        kind, text = path["pathType"], path["path"]
        if kind.value is None:
            kind.required("pathType must be specified")
            continue
        if kind.one_of(PATH_TYPES):
            is_free = kind.text == "ImplementationSpecific"
            if not text.text.startswith("/") and not (is_free and not text):
                text.invalid("must be an absolute path", value=text.text)
            if not is_free:
                _no_tricks(text)
        _backend(path["backend"])


def _no_tricks(path: Place) -> None:
    for part in _NOT_IN_PATHS:
        if part in path.text:
            path.invalid(f"must not contain '{part}'")
    for end in ("/..", "/."):
        if path.text.endswith(end):
            path.invalid(f"cannot end with '{end}'")


def _backend(backend: Place) -> None:
    service, resource = backend["service"], backend["resource"]
    if service.value is not None and resource.value is not None:
        backend.invalid("cannot set both resource and service backends", value="")
    elif resource.value is not None:
        _reference(resource)
    elif service.value is not None:
        _service(backend, service)
    else:
        backend.invalid("resource or service backend is required", value="")


def _service(backend: Place, service: Place) -> None:
    if service["name"]:
        service["name"].invalid(*dns_1035_label(service["name"].text))
    else:
        service["name"].required()
    name, number = service["port"]["name"], service["port"]["number"]
    if name and number:
        backend.invalid("cannot set both port name & port number", value="")
    elif name:
        name.invalid(*port_name(name.text))
    elif number:
        number.invalid(*port_number(number.number))
    else:
        backend.required("port name or number is required")


def _reference(reference: Place) -> None:
    if reference["apiGroup"].value is not None:
        reference["apiGroup"].invalid(*dns_subdomain(reference["apiGroup"].text))
    for key in ("kind", "name"):
        if reference[key]:
            reference[key].invalid(*path_segment(reference[key].text))
        else:
            reference[key].required()


def ingress_class(item: Place) -> None:
    """Which controller carries ingresses."""
    controller, parameters = item["spec"]["controller"], item["spec"]["parameters"]
    host, _, path = controller.text.partition("/")
    if not controller:
        controller.required()
    elif len(controller.text) > 250:
        controller.too_long(250)
    elif not host or not path:
        controller.invalid('must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        controller.invalid(*dns_subdomain(host), value=host)
    if parameters.value is None:
        return
    _reference(parameters)
    scope, namespace = parameters["scope"], parameters["namespace"]
    if not scope.one_of(("Cluster", "Namespace")):
        return
    if scope.text == "Cluster" and namespace.value is not None:
        namespace.forbidden("`parameters.scope` is set to 'Cluster'")
    elif scope.text == "Namespace" and namespace.value is None:
        namespace.required("`parameters.scope` is set to 'Namespace'")
    elif scope.text == "Namespace":
        namespace.invalid(*dns_label(namespace.text))


def controller_stays(item: Place, old: Mapping[str, Any]) -> None:
    item["spec"]["controller"].unchanged(old.get("spec", {}).get("controller"))


def service_cidr(item: Place) -> None:
    """Where cluster addresses come from: one range, or one of each family."""
    ranges = item["spec"]["cidrs"]
    if not ranges:
        ranges.required("at least one CIDR required")
    elif len(ranges.list) > 2:
        ranges.invalid("may only hold up to 2 values")
    else:
        for one in ranges.items():
            one.invalid(*cidr(one.text))
        if len(ranges.list) == 2 and len({":" in one for one in ranges.list}) == 1:
            ranges.invalid(
                "may specify no more than one IP for each IP family, "
                "i.e 192.168.0.0/24 and 2001:db8::/64"
            )


def ranges_stay(item: Place, old: Mapping[str, Any]) -> None:
    """A second range may be added."""
    ranges, before = item["spec"]["cidrs"], old.get("spec", {}).get("cidrs") or []
    if len(ranges.list) not in {len(before), 2} or len(ranges.list) < len(before):
        ranges.invalid(IMMUTABLE)
        return
    for one, other in zip(ranges.items(), before, strict=False):
        if one.value != other:
            one.invalid(IMMUTABLE)


def ip_address_object(item: Place) -> None:
    """Whose address it is."""
    parent = item["spec"]["parentRef"]
    if parent.value is None:
        parent.required()
        return
    if parent["group"]:
        parent["group"].invalid(*dns_subdomain(parent["group"].text))
    for key in ("resource", "name"):
        if parent[key]:
            parent[key].invalid(*path_segment(parent[key].text))
        else:
            parent[key].required()
    if parent["namespace"]:
        parent["namespace"].invalid(*path_segment(parent["namespace"].text))


def parent_stays(item: Place, old: Mapping[str, Any]) -> None:
    item["spec"]["parentRef"].unchanged(old.get("spec", {}).get("parentRef"))
