"""What a Service must be, and what of it stays as it was.

Source: ValidateService and ValidateServiceUpdate of `pkg/apis/core/validation/validation.go`. Nothing is
required here that allocation gives: it comes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import (
    AFFINITIES,
    IP_MODES,
    PROTOCOLS,
    SERVICE_TYPES,
    TRAFFIC_POLICIES,
)
from testbed.apiserver.validation.formats import (
    cidr,
    dns_label,
    dns_subdomain,
    ip,
    non_special_ip,
    port_number,
    qualified_name,
)
from testbed.apiserver.validation.metadata import labels
from testbed.apiserver.validation.place import IMMUTABLE, Place
from testbed.apiserver.validation.ports import port_or_name
from testbed.apiserver.validation.service_addresses import (
    addresses_and_families,
    addresses_update,
    cluster_ips,
    is_headless,
)

_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_LONGEST_AFFINITY_S = 86400
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
_NOT_EXTERNAL_NAME = "may not be set for ExternalName services"


def service(item: Place) -> None:
    """A service that is to be created or to replace another."""
    spec, kind = item["spec"], item["spec"]["type"].text
    headless = is_headless(spec.mapping)
    if not spec["ports"] and not headless and kind != "ExternalName":
        spec["ports"].required()
    if headless and kind in {"LoadBalancer", "NodePort"}:
        first = Place("None", "spec.clusterIPs[0]", spec.causes)
        first.invalid(f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        _external_name(spec)
    else:
        addresses_and_families(spec)
    _ports(spec["ports"], kind)
    labels(spec["selector"])
    _affinity(spec)
    for address in spec["externalIPs"].items():
        address.invalid(*(ip(address.text) or non_special_ip(address.text)))
    spec["type"].one_of(SERVICE_TYPES)
    _balancer(spec, kind)
    _policies(spec, kind)
    _status(item)


def _external_name(spec: Place) -> None:
    if cluster_ips(spec.mapping):
        spec["clusterIPs"].forbidden(_NOT_EXTERNAL_NAME)
    for key in ("ipFamilies", "ipFamilyPolicy"):
        if spec[key]:
            spec[key].forbidden(_NOT_EXTERNAL_NAME)
    name = spec["externalName"].text.removesuffix(".")
    if name:
        spec["externalName"].invalid(*dns_subdomain(name), value=name)
    else:
        spec["externalName"].required()


def _ports(ports: Place, kind: str) -> None:
    names: set[Any] = set()
    pairs: set[Any] = set()
    node_ports: set[Any] = set()
    for port in ports.items():
        name = port["name"]
        if name:
            name.invalid(*dns_label(name.text))
            name.unique(name.text, names)
        elif len(ports.list) > 1:
            name.required()
        number, protocol = port["port"], port["protocol"].text
        number.invalid(*port_number(number.number), value=number.number)
        port["protocol"].one_of(PROTOCOLS)
        port_or_name(port["targetPort"])
        if protocol_of_app := port["appProtocol"].text:
            port["appProtocol"].invalid(*qualified_name(protocol_of_app))
        if port["nodePort"]:
            if kind == "ClusterIP":
                port["nodePort"].forbidden("may not be used when `type` is 'ClusterIP'")
            if (protocol, port["nodePort"].number) in node_ports:
                port["nodePort"].duplicate()
            node_ports.add((protocol, port["nodePort"].number))
        if (protocol, number.number) in pairs:
            port.duplicate({"protocol": protocol, "port": number.number})
        pairs.add((protocol, number.number))


def _affinity(spec: Place) -> None:
    kind, config = spec["sessionAffinity"], spec["sessionAffinityConfig"]
    kind.one_of(AFFINITIES)
    if kind.text == "ClientIP":
        timeout = config["clientIP"]["timeoutSeconds"]
        if not 0 < timeout.number <= _LONGEST_AFFINITY_S:
            timeout.invalid(
                f"must be greater than 0 and less than {_LONGEST_AFFINITY_S}", value=timeout.number
            )
    elif kind.text == "None" and config:
        config.forbidden("must not be set when session affinity is None")


def _balancer(spec: Place, kind: str) -> None:
    """What only a service with a load balancer has."""
    balanced = kind == "LoadBalancer"
    ranges = spec["loadBalancerSourceRanges"]
    if ranges and not balanced:
        Place(None, "spec.LoadBalancerSourceRanges", spec.causes).forbidden(_ONLY_BALANCED)
    for one in ranges.items():
        path = one.path.replace("spec.loadB", "spec.LoadB")
        Place(one.value, path, spec.causes).invalid(*cidr(one.text.strip()))
    for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec[key].value is not None and not balanced:
            spec[key].forbidden(_ONLY_BALANCED)
    if balanced and spec["loadBalancerClass"].value is not None:
        name = spec["loadBalancerClass"]
        name.invalid(*qualified_name(name.text), value=name.text)


def _policies(spec: Place, kind: str) -> None:
    """Which endpoints take traffic from where."""
    external, check = spec["externalTrafficPolicy"], spec["healthCheckNodePort"]
    reachable = kind in {"NodePort", "LoadBalancer"} or (
        kind == "ClusterIP" and spec["externalIPs"]
    )
    if reachable:
        external.one_of(TRAFFIC_POLICIES)
    elif external:
        external.invalid("may only be set for externally-accessible services")
    if check and not needs_health_check(spec.mapping):
        check.invalid(
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        )
    elif check:
        check.invalid(*port_number(check.number))
    if spec["internalTrafficPolicy"]:
        spec["internalTrafficPolicy"].one_of(TRAFFIC_POLICIES)
    if spec["trafficDistribution"].value is not None:
        spec["trafficDistribution"].one_of(_DISTRIBUTIONS)


def _status(item: Place) -> None:
    """Where the load balancer is, which only a service with one has."""
    for one in item["status"]["loadBalancer"]["ingress"].items():
        address, mode, name = one["ip"], one["ipMode"], one["hostname"]
        if address:
            address.invalid(*ip(address.text))
        elif mode.value is not None:
            mode.forbidden("may not be specified when `ip` is not set")
        if mode.value is not None:
            mode.one_of(IP_MODES)
        if name:
            name.invalid(*dns_subdomain(name.text))
            if not ip(name.text):
                name.invalid("must be a DNS name, not an IP address")


def needs_health_check(spec: Mapping[str, Any]) -> bool:
    """Whether its nodes tell load balancers if they have endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def service_update(item: Place, old: Mapping[str, Any]) -> None:
    """What may not change once it is set."""
    spec, was = item["spec"], old.get("spec", {})
    balancer = item["status"]["loadBalancer"]
    found, before = balancer["ingress"], old.get("status", {}).get("loadBalancer", {})
    if found and spec["type"].text != "LoadBalancer" and found.value != before.get("ingress"):
        balancer["ingress"].forbidden('may only be used when `spec.type` is "LoadBalancer"')
    addresses_update(spec, was)
    if needs_health_check(spec.mapping) and needs_health_check(was):
        check = spec["healthCheckNodePort"]
        if check and check.value != was.get("healthCheckNodePort"):
            check.forbidden(IMMUTABLE)
    if spec["type"].text == "LoadBalancer" == was.get("type"):
        spec["loadBalancerClass"].unchanged(was.get("loadBalancerClass"), "may not change once set")
