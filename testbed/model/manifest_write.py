"""Objects -> Kubernetes' JSON. One function per type, in the order of `model.objects`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.model.objects import (
    Container,
    ContainerStatus,
    Deployment,
    Endpoint,
    EndpointSlice,
    HTTPGetAction,
    Node,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    Service,
    ServicePort,
)

Json = dict[str, Any]

_OWNER_API_VERSIONS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1"}


def _full(pairs: Json) -> Json:
    """Without the fields that say nothing: None, "", and empty containers (0 and False stay)."""
    return {key: value for key, value in pairs.items() if value or value is False or value == 0}


def _seconds(value: float | None) -> int | float | None:
    """Whole seconds as an int, which is what Kubernetes takes."""
    return int(value) if value is not None and value == int(value) else value


def _when(condition: bool) -> str:
    return "True" if condition else "False"


def _meta(meta: ObjectMeta) -> Json:
    owner = meta.owner
    return _full(
        {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": str(meta.resource_version or ""),
            "labels": dict(meta.labels),
            "annotations": dict(meta.annotations),
            "deletionGracePeriodSeconds": _seconds(meta.deletion_grace_period_s),
            "ownerReferences": owner
            and [
                {
                    "apiVersion": _OWNER_API_VERSIONS.get(owner.kind, "v1"),
                    "kind": owner.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                }
            ],
        }
    )


def _times(meta: ObjectMeta) -> Json:
    times: Json = {}
    if meta.creation_s:
        times["creationSeconds"] = meta.creation_s
    if meta.deletion_s is not None:
        times["deletionSeconds"] = meta.deletion_s
    return times


def _object(meta: ObjectMeta, spec: Json, status: Json, own: Json) -> Json:
    item: Json = {"metadata": _meta(meta), "spec": spec}
    if status:
        item["status"] = status
    return {**item, **_own({**_times(meta), **own})}


def _own(testbed: Json) -> Json:
    """What Kubernetes has no place for."""
    return {"testbed": testbed} if testbed else {}


def document_manifest(item: Object) -> Json:
    """Of a kind that has nothing but metadata and what its manifest says."""
    return {"metadata": _meta(item.meta), **_own(_times(item.meta))}


def node(item: Node) -> Json:
    spec = _full({"podCIDR": item.pod_cidr, "podCIDRs": list(item.pod_cidrs)})
    if item.unschedulable:
        spec["unschedulable"] = True
    status = {
        "addresses": [{"type": "InternalIP", "address": ip} for ip in item.internal_ips],
        "conditions": [{"type": "Ready", "status": _when(item.ready)}],
    }
    return _object(item.meta, spec, _full(status), {})


def pod(item: Pod) -> Json:
    return _object(
        item.meta, pod_spec(item.spec), _pod_status(item.status), _pod_times(item.status)
    )


def pod_spec(spec: PodSpec) -> Json:
    return _full(
        {
            "containers": [_container(container) for container in spec.containers],
            "nodeName": spec.node_name,
            "nodeSelector": dict(spec.node_selector),
            "affinity": spec.node_affinity and {"nodeAffinity": _affinity(spec.node_affinity)},
            "restartPolicy": spec.restart_policy,
            "terminationGracePeriodSeconds": _seconds(spec.termination_grace_period_s),
            "dnsPolicy": spec.dns_policy,
        }
    )


def _container(container: Container) -> Json:
    ports = [
        _full({"name": port.name, "containerPort": port.container_port, "protocol": port.protocol})
        for port in container.ports
    ]
    return _full(
        {
            "name": container.name,
            "image": container.image,
            "command": list(container.command),
            "args": list(container.args),
            "ports": ports,
            "readinessProbe": container.readiness_probe and _probe(container.readiness_probe),
            "livenessProbe": container.liveness_probe and _probe(container.liveness_probe),
        }
    )


def _probe(probe: Probe) -> Json:
    action = probe.action
    how: Json
    if isinstance(action, HTTPGetAction):
        how = {"httpGet": {"path": action.path, "port": action.port}}
    else:
        how = {"tcpSocket": {"port": action.port}}
    return {
        **how,
        "initialDelaySeconds": _seconds(probe.initial_delay_s),
        "periodSeconds": _seconds(probe.period_s),
        "timeoutSeconds": _seconds(probe.timeout_s),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }


def _affinity(affinity: NodeAffinity) -> Json:
    required = [_term(term) for term in affinity.required]
    preferred = [
        {"weight": term.weight, "preference": _term(term.preference)} for term in affinity.preferred
    ]
    return _full(
        {
            "requiredDuringSchedulingIgnoredDuringExecution": required
            and {"nodeSelectorTerms": required},
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }
    )


def _term(term: NodeSelectorTerm) -> Json:
    return _full(
        {
            "matchExpressions": [_requirement(item) for item in term.match_expressions],
            "matchFields": [_requirement(item) for item in term.match_fields],
        }
    )


def _requirement(item: NodeSelectorRequirement) -> Json:
    return _full({"key": item.key, "operator": item.operator, "values": list(item.values)})


def _pod_status(status: PodStatus) -> Json:
    return _full(
        {
            "phase": status.phase,
            "conditions": [
                {"type": "PodScheduled", "status": _when(status.scheduled)},
                {"type": "Ready", "status": _when(status.ready)},
            ],
            "reason": status.reason,
            "message": status.message,
            "podIP": status.pod_ip,
            "podIPs": [{"ip": ip} for ip in status.pod_ips],
            "containerStatuses": [_container_status(item) for item in status.containers],
        }
    )


def _container_status(status: ContainerStatus) -> Json:
    state = _full({"reason": status.reason})
    if status.state == "terminated" and status.exit_code is not None:
        state["exitCode"] = status.exit_code
    written: Json = {
        "name": status.name,
        "ready": status.ready,
        "restartCount": status.restart_count,
        "state": {status.state: state},
    }
    if status.state != "terminated" and status.exit_code is not None:
        written["lastState"] = {"terminated": {"exitCode": status.exit_code}}
    return written


def _pod_times(status: PodStatus) -> Json:
    times: Json = {}
    if status.ready_changed_s is not None:
        times["readyChangedSeconds"] = status.ready_changed_s
    started = {
        item.name: item.started_s for item in status.containers if item.started_s is not None
    }
    if started:
        times["containersStartedSeconds"] = started
    return times


def deployment(item: Deployment) -> Json:
    template = item.template
    spec = {
        "replicas": item.replicas,
        "selector": {"matchLabels": dict(item.selector)},
        "template": {
            "metadata": _full(
                {"labels": dict(template.labels), "annotations": dict(template.annotations)}
            ),
            "spec": pod_spec(template.spec),
        },
    }
    return _object(item.meta, spec, {}, {})


def service(item: Service) -> Json:
    ingress = [
        _full({"ip": entry.ip, "hostname": entry.hostname, "ipMode": entry.ip_mode})
        for entry in item.load_balancer_ingress
    ]
    return _object(
        item.meta,
        _service_spec(item),
        {"loadBalancer": {"ingress": ingress}} if ingress else {},
        {},
    )


def _service_spec(item: Service) -> Json:
    spec = _full(
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
        }
    )
    if item.session_affinity != "None" or item.session_affinity_timeout_s != 10800:
        timeout = item.session_affinity_timeout_s
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": timeout}}
    if item.type in {"NodePort", "LoadBalancer"} or item.external_traffic_policy != "Cluster":
        spec["externalTrafficPolicy"] = item.external_traffic_policy
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
    written = _full({"name": port.name, "protocol": port.protocol, "port": port.port})
    if port.target_port:
        written["targetPort"] = port.target_port
    if port.node_port:
        written["nodePort"] = port.node_port
    return written


def endpoint_slice(item: EndpointSlice) -> Json:
    written: Json = {
        "metadata": _meta(item.meta),
        "addressType": item.address_type,
        "endpoints": [_endpoint(endpoint) for endpoint in item.endpoints],
        "ports": [
            {"name": port.name, "protocol": port.protocol, "port": port.port} for port in item.ports
        ],
    }
    times = _times(item.meta)
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
    "Service": service,
    "EndpointSlice": endpoint_slice,
}
