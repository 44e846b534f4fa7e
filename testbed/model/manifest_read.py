"""Kubernetes' JSON -> objects: Node, Service and EndpointSlice; pods and what makes pods are `pod_read`'s and
`workload_read`'s.

Every function reads on after a mistake; the mistakes collect in `Fields.mistakes`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from testbed.model.fields import PORTS, Fields, words
from testbed.model.ip_text import address_mistake, cidr_mistake
from testbed.model.metadata_read import is_subdomain_name, meta
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort, EndpointSlice, TargetRef
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.model.pod_read import pod
from testbed.model.pod_status_read import condition
from testbed.model.scheduling import EFFECTS, NO_SCHEDULE, Taint
from testbed.model.workload_read import daemon_set, deployment, replica_set

PROTOCOLS = ("TCP", "UDP", "SCTP")
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")
TRAFFIC_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
IP_FAMILIES = ("IPv4", "IPv6")
IP_FAMILY_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")

_TOP = ("apiVersion", "kind", "metadata", "spec", "status", "testbed")
_SERVICE_KEYS = words(
    "type selector clusterIP clusterIPs ipFamilies ipFamilyPolicy externalName externalIPs ports "
    "sessionAffinity sessionAffinityConfig "
    "internalTrafficPolicy externalTrafficPolicy loadBalancerSourceRanges healthCheckNodePort "
    "allocateLoadBalancerNodePorts publishNotReadyAddresses trafficDistribution "
    "loadBalancerClass loadBalancerIP"
)
_SLICE_KEYS = words("apiVersion kind metadata addressType endpoints ports testbed")
_ENDPOINT_KEYS = words("addresses conditions hints hostname nodeName zone targetRef")


def node(fields: Fields, _namespace: str) -> Node:
    fields.only(_TOP, ())
    spec, status = fields.child("spec"), fields.child("status")
    spec.only(("podCIDR", "podCIDRs", "unschedulable", "taints"), ("providerID",))
    times = fields.child("testbed")
    internal_ips = tuple(
        entry.text("address")
        for entry in status.children("addresses")
        if entry.text("type") == "InternalIP"
    )
    return Node(
        meta=meta(fields, ""),
        internal_ips=internal_ips,
        pod_cidrs=spec.first_and_all("podCIDR", "podCIDRs", spec.texts("podCIDRs")),
        unschedulable=spec.boolean("unschedulable"),
        ready=condition(status, "Ready"),
        unreachable=condition(status, "Ready", "Unknown"),
        ready_changed_s=times.optional_seconds("readyChangedSeconds"),
        taints=tuple(
            _taint(entry, times.child("taintSeconds")) for entry in spec.children("taints")
        ),
    )


def _taint(entry: Fields, times: Fields) -> Taint:
    entry.only(("key", "value", "effect", "timeAdded"), ())
    key = entry.text("key", required=True)
    effect = entry.choice("effect", EFFECTS, NO_SCHEDULE)
    added_s = times.optional_seconds(f"{key}:{effect}")
    return Taint(key, effect, entry.text("value"), added_s)


def service(fields: Fields, namespace: str) -> Service:
    fields.only(_TOP, ())
    spec = fields.child("spec")
    spec.only(_SERVICE_KEYS, ())
    kind = spec.choice("type", SERVICE_TYPES, "ClusterIP")
    affinity = spec.child("sessionAffinityConfig").child("clientIP")
    ingress = fields.child("status").child("loadBalancer").children("ingress")
    cluster_ips = _cluster_ips(spec)
    external_name = spec.text("externalName", required=kind == "ExternalName")
    named = kind == "ExternalName" and external_name
    if named and not is_subdomain_name(external_name.removesuffix(".")):
        spec.wrong("externalName", f"{external_name[:60]!r} is no DNS name", "as in: example.org")
    return Service(
        meta=meta(fields, namespace),
        ports=_service_ports(spec, kind),
        selector=spec.labels("selector"),
        type=kind,
        cluster_ips=cluster_ips,
        ip_families=_ip_families(spec),
        ip_family_policy=spec.choice("ipFamilyPolicy", ("", *IP_FAMILY_POLICIES), ""),
        external_name=external_name,
        external_ips=_checked(spec, "externalIPs", address_mistake),
        session_affinity=spec.choice("sessionAffinity", ("None", "ClientIP"), "None"),
        session_affinity_timeout_s=affinity.integer("timeoutSeconds", 10800, (1, 86400)),
        internal_traffic_policy=spec.choice("internalTrafficPolicy", POLICIES, "Cluster"),
        external_traffic_policy=spec.choice("externalTrafficPolicy", POLICIES, "Cluster"),
        load_balancer_source_ranges=_checked(spec, "loadBalancerSourceRanges", cidr_mistake),
        load_balancer_ingress=tuple(_ingress(entry) for entry in ingress),
        health_check_node_port=spec.integer("healthCheckNodePort", 0, PORTS),
        allocate_load_balancer_node_ports=spec.boolean("allocateLoadBalancerNodePorts", True),
        publish_not_ready_addresses=spec.boolean("publishNotReadyAddresses"),
        traffic_distribution=spec.choice("trafficDistribution", ("", *TRAFFIC_DISTRIBUTIONS), ""),
        load_balancer_ip=spec.text("loadBalancerIP"),
        load_balancer_class=spec.text("loadBalancerClass"),
    )


def _cluster_ips(spec: Fields) -> tuple[str, ...]:
    found = spec.first_and_all("clusterIP", "clusterIPs", spec.texts("clusterIPs"))
    key = "clusterIPs" if spec.has("clusterIPs") else "clusterIP"
    for ip in found:
        if ip not in {"", "None"}:
            _check_address(spec, key, ip)
    if "None" in found and len(found) > 1:
        spec.wrong(key, "None stands alone: a headless service has no addresses")
    elif len(found) > 2 or len({":" in ip for ip in found}) < len(found):
        spec.wrong(key, "one address per IP family", "write an IPv4 and an IPv6 address")
    return found


def _ip_families(spec: Fields) -> tuple[str, ...]:
    found = spec.texts("ipFamilies")
    for family in found:
        if family not in IP_FAMILIES:
            spec.wrong("ipFamilies", f"{family[:40]!r} is none of {', '.join(IP_FAMILIES)}")
    if len(set(found)) < len(found):
        spec.wrong("ipFamilies", "a family is named twice")
    return found


def _service_ports(spec: Fields, kind: str) -> tuple[ServicePort, ...]:
    entries = spec.children("ports")
    none_given = not spec.values.get("ports")
    headless = "None" in {spec.text("clusterIP"), *spec.texts("clusterIPs")}
    if none_given and kind != "ExternalName" and not headless:
        spec.wrong("ports" if spec.has("ports") else None, "a service needs at least one port")
    ports = tuple(_service_port(entry) for entry in entries)
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for entry, port in zip(entries, ports, strict=True):
        if len(ports) > 1 and not port.name:
            entry.wrong(None, "name is missing", "with several ports each needs a name")
        elif port.name and port.name in names:
            entry.wrong("name", f"a second port is named {port.name!r}")
        if port.port and (port.port, port.protocol) in numbers:
            entry.wrong("port", f"a second port {port.port}/{port.protocol}")
        names.add(port.name)
        numbers.add((port.port, port.protocol))
    return ports


def _service_port(entry: Fields) -> ServicePort:
    entry.only(("name", "protocol", "port", "targetPort", "nodePort"), ("appProtocol",))
    if not entry.has("port"):
        entry.missing("port")
    return ServicePort(
        port=entry.integer("port", 0, PORTS),
        name=entry.text("name"),
        protocol=entry.choice("protocol", PROTOCOLS, "TCP"),
        target_port=entry.port("targetPort"),
        node_port=entry.integer("nodePort", 0, (0, PORTS[1])),
    )


def _checked(spec: Fields, key: str, mistake_in: Callable[[str], str]) -> tuple[str, ...]:
    found = spec.texts(key)
    for text in found:
        if mistake := mistake_in(text):
            spec.wrong(key, mistake)
    return found


def _ingress(entry: Fields) -> LoadBalancerIngress:
    if (ip := entry.text("ip")) and (mistake := address_mistake(ip)):
        entry.wrong("ip", mistake)
    return LoadBalancerIngress(
        ip=entry.text("ip"),
        hostname=entry.text("hostname"),
        ip_mode=entry.choice("ipMode", ("VIP", "Proxy"), "VIP"),
    )


def endpoint_slice(fields: Fields, namespace: str) -> EndpointSlice:
    fields.only(_SLICE_KEYS, ())
    return EndpointSlice(
        meta=meta(fields, namespace),
        endpoints=tuple(_endpoint(entry) for entry in fields.children("endpoints")),
        ports=tuple(_endpoint_port(entry) for entry in fields.children("ports")),
        address_type=fields.choice("addressType", ("IPv4", "IPv6", "FQDN"), "IPv4"),
    )


def _endpoint(entry: Fields) -> Endpoint:
    entry.only(_ENDPOINT_KEYS, ("deprecatedTopology",))
    addresses = entry.texts("addresses")
    if not addresses:
        entry.missing("addresses")
    conditions = entry.child("conditions")
    ready = conditions.boolean("ready", True)
    return Endpoint(
        addresses=addresses,
        ready=ready,
        serving=conditions.boolean("serving", ready),
        terminating=conditions.boolean("terminating"),
        node_name=entry.text("nodeName"),
        zone=entry.text("zone"),
        hostname=entry.text("hostname"),
        target=_target(entry),
        for_zones=_hinted(entry, "forZones"),
        for_nodes=_hinted(entry, "forNodes"),
    )


def _hinted(entry: Fields, key: str) -> tuple[str, ...]:
    return tuple(hint.text("name", required=True) for hint in entry.child("hints").children(key))


def _target(entry: Fields) -> TargetRef | None:
    if not entry.has("targetRef"):
        return None
    target = entry.child("targetRef")
    return TargetRef(
        target.text("namespace"), target.text("name", required=True), target.text("uid")
    )


def _endpoint_port(entry: Fields) -> EndpointPort:
    entry.only(("name", "protocol", "port"), ("appProtocol",))
    if not entry.has("port"):
        entry.missing("port")
    return EndpointPort(
        port=entry.integer("port", 0, PORTS),
        name=entry.text("name"),
        protocol=entry.choice("protocol", PROTOCOLS, "TCP"),
    )


def _check_address(fields: Fields, key: str, text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        fields.wrong(key, f"{text[:60]!r} is no address", "write it like 10.96.0.20, or None")


READERS: dict[str, Callable[[Fields, str], Any]] = {
    "Node": node,
    "Pod": pod,
    "Deployment": deployment,
    "ReplicaSet": replica_set,
    "DaemonSet": daemon_set,
    "Service": service,
    "EndpointSlice": endpoint_slice,
}
