"""Pod -> Kubernetes' JSON."""

from __future__ import annotations

from testbed.model.metadata_write import Json, full, seconds, when, whole
from testbed.model.objects import (
    Container,
    ContainerStatus,
    HTTPGetAction,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
)


def pod(item: Pod) -> Json:
    return whole(item.meta, pod_spec(item.spec), _pod_status(item.status), _pod_times(item.status))


def pod_spec(spec: PodSpec) -> Json:
    return full(
        {
            "containers": [_container(container) for container in spec.containers],
            "nodeName": spec.node_name,
            "nodeSelector": dict(spec.node_selector),
            "affinity": spec.node_affinity and {"nodeAffinity": _affinity(spec.node_affinity)},
            "restartPolicy": spec.restart_policy,
            "terminationGracePeriodSeconds": seconds(spec.termination_grace_period_s),
            "dnsPolicy": spec.dns_policy,
        }
    )


def _container(container: Container) -> Json:
    ports = [
        full({"name": port.name, "containerPort": port.container_port, "protocol": port.protocol})
        for port in container.ports
    ]
    return full(
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
        "initialDelaySeconds": seconds(probe.initial_delay_s),
        "periodSeconds": seconds(probe.period_s),
        "timeoutSeconds": seconds(probe.timeout_s),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }


def _affinity(affinity: NodeAffinity) -> Json:
    required = [_term(term) for term in affinity.required]
    preferred = [
        {"weight": term.weight, "preference": _term(term.preference)} for term in affinity.preferred
    ]
    return full(
        {
            "requiredDuringSchedulingIgnoredDuringExecution": required
            and {"nodeSelectorTerms": required},
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }
    )


def _term(term: NodeSelectorTerm) -> Json:
    return full(
        {
            "matchExpressions": [_requirement(item) for item in term.match_expressions],
            "matchFields": [_requirement(item) for item in term.match_fields],
        }
    )


def _requirement(item: NodeSelectorRequirement) -> Json:
    return full({"key": item.key, "operator": item.operator, "values": list(item.values)})


def _pod_status(status: PodStatus) -> Json:
    return full(
        {
            "phase": status.phase,
            "conditions": [
                {"type": "PodScheduled", "status": when(status.scheduled)},
                {"type": "Ready", "status": when(status.ready)},
            ],
            "reason": status.reason,
            "message": status.message,
            "podIP": status.pod_ip,
            "podIPs": [{"ip": ip} for ip in status.pod_ips],
            "containerStatuses": [_container_status(item) for item in status.containers],
        }
    )


def _container_status(status: ContainerStatus) -> Json:
    state = full({"reason": status.reason})
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
