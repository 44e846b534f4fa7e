"""Objects -> Kubernetes' JSON. One function per type, in the order of `model.objects`; pods and what makes
pods are `pod_write`'s and `workload_write`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.model.metadata_write import Json, full, metadata, own, times_of, whole
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service, ServicePort
from testbed.model.pod_write import pod
from testbed.model.workload_write import daemon_set, deployment, replica_set


def document_manifest(item: Object) -> Json:
    """Of a kind that has nothing but metadata and what its manifest says."""
    return {"metadata": metadata(item.meta), **own(times_of(item.meta))}


def node(item: Node) -> Json:
    spec = full({"podCIDR": item.pod_cidr, "podCIDRs": list(item.pod_cidrs)})
    if item.unschedulable:
        spec["unschedulable"] = True
    if item.taints:
        spec["taints"] = [
            full({"key": taint.key, "value": taint.value, "effect": taint.effect})
            for taint in item.taints
        ]
    status = {
        "addresses": [{"type": "InternalIP", "address": ip} for ip in item.internal_ips],
        "conditions": [_node_ready(item)],
    }
    return whole(item.meta, spec, full(status), _node_times(item))


def _node_ready(item: Node) -> Json:
    if item.unreachable:
        said = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    elif item.ready:
        said = ("True", "KubeletReady", "kubelet is posting ready status")
    else:
        said = ("False", "KubeletNotReady", "the node has not begun to work")
    return {"type": "Ready", **dict(zip(("status", "reason", "message"), said, strict=True))}


def _node_times(item: Node) -> Json:
    times: Json = {}
    if item.ready_changed_s is not None:
        times["readyChangedSeconds"] = item.ready_changed_s
    added = {
        f"{taint.key}:{taint.effect}": taint.added_s
        for taint in item.taints
        if taint.added_s is not None
    }
    return {**times, "taintSeconds": added} if added else times


def service(item: Service) -> Json:
    ingress = [
        full({"ip": entry.ip, "hostname": entry.hostname, "ipMode": entry.ip_mode})
        for entry in item.load_balancer_ingress
    ]
    return whole(
        item.meta,
        _service_spec(item),
        {"loadBalancer": {"ingress": ingress}} if ingress else {},
        {},
    )


def _service_spec(item: Service) -> Json:
    spec = full(
        {
            "type": item.type,
            "selector": dict(item.selector),
            "clusterIP": item.cluster_ip,
            "clusterIPs": list(item.cluster_ips),
            "ipFamilies": list(item.ip_families),
            "ipFamilyPolicy": item.ip_family_policy,
            "externalName": item.external_name,
            "externalIPs": list(item.external_ips),
            "ports": [_service_port(port) for port in item.ports],
            "sessionAffinity": item.session_affinity,
            "internalTrafficPolicy": item.internal_traffic_policy,
            "loadBalancerSourceRanges": list(item.load_balancer_source_ranges),
            "loadBalancerIP": item.load_balancer_ip,
            "loadBalancerClass": item.load_balancer_class,
        }
    )
    if item.session_affinity != "None" or item.session_affinity_timeout_s != 10800:
        timeout = item.session_affinity_timeout_s
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": timeout}}
    if item.type in {"NodePort", "LoadBalancer"} or item.external_traffic_policy != "Cluster":
        spec["externalTrafficPolicy"] = item.external_traffic_policy
    if item.type == "ExternalName" and item.internal_traffic_policy == "Cluster":
        del spec["internalTrafficPolicy"]  # Kubernetes has no default for it there
    if item.health_check_node_port:
        spec["healthCheckNodePort"] = item.health_check_node_port
    if not item.allocate_load_balancer_node_ports:
        spec["allocateLoadBalancerNodePorts"] = False
    if item.publish_not_ready_addresses:
        spec["publishNotReadyAddresses"] = True
    if item.traffic_distribution:
        spec["trafficDistribution"] = item.traffic_distribution
    return spec


def _service_port(port: ServicePort) -> Json:
    written = full({"name": port.name, "protocol": port.protocol, "port": port.port})
    if port.target_port:
        written["targetPort"] = port.target_port
    if port.node_port:
        written["nodePort"] = port.node_port
    return written


def endpoint_slice(item: EndpointSlice) -> Json:
    written: Json = {
        "metadata": metadata(item.meta),
        "addressType": item.address_type,
        "endpoints": [_endpoint(endpoint) for endpoint in item.endpoints],
        "ports": [
            {"name": port.name, "protocol": port.protocol, "port": port.port} for port in item.ports
        ],
    }
    times = times_of(item.meta)
    if times:
        written["testbed"] = times
    return written


def _endpoint(endpoint: Endpoint) -> Json:
    written: Json = {
        "addresses": list(endpoint.addresses),
        "conditions": {
            "ready": endpoint.ready,
            "serving": endpoint.serving,
            "terminating": endpoint.terminating,
        },
    }
    if endpoint.hostname:
        written["hostname"] = endpoint.hostname
    if endpoint.node_name:
        written["nodeName"] = endpoint.node_name
    if endpoint.zone:
        written["zone"] = endpoint.zone
    hints = {"forZones": endpoint.for_zones, "forNodes": endpoint.for_nodes}
    if any(hints.values()):
        written["hints"] = {
            key: [{"name": name} for name in names] for key, names in hints.items() if names
        }
    target = endpoint.target
    if target is not None:
        reference = {"kind": "Pod", "namespace": target.namespace, "name": target.name}
        written["targetRef"] = {**reference, "uid": target.uid} if target.uid else reference
    return written


WRITERS: dict[str, Callable[[Any], Json]] = {
    "Node": node,
    "Pod": pod,
    "Deployment": deployment,
    "ReplicaSet": replica_set,
    "DaemonSet": daemon_set,
    "Service": service,
    "EndpointSlice": endpoint_slice,
}
