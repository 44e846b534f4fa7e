"""Container -> Kubernetes' JSON."""

from __future__ import annotations

from testbed.model.containers import (
    Container,
    ContainerPort,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Probe,
)
from testbed.model.metadata_write import Json, full, seconds
from testbed.model.spelled import json_of


def container_manifest(container: Container) -> Json:
    """One container, or init container."""
    written = full(
        {
            "name": container.name,
            "image": container.image,
            "imagePullPolicy": container.image_pull_policy,
            "command": list(container.command),
            "args": list(container.args),
            "workingDir": container.working_dir,
            "ports": [_port(port) for port in container.ports],
            "envFrom": json_of(container.env_from),
            "env": json_of(container.env),
            "resources": json_of(container.resources),
            "volumeMounts": json_of(container.volume_mounts),
            "readinessProbe": container.readiness_probe and _probe(container.readiness_probe),
            "livenessProbe": container.liveness_probe and _probe(container.liveness_probe),
            "startupProbe": container.startup_probe and _probe(container.startup_probe),
            "lifecycle": json_of(container.lifecycle),
            "securityContext": json_of(container.security_context),
            "restartPolicy": container.restart_policy,
        }
    )
    if container.termination_message_path != "/dev/termination-log":
        written["terminationMessagePath"] = container.termination_message_path
    if container.termination_message_policy != "File":
        written["terminationMessagePolicy"] = container.termination_message_policy
    flags = {"stdin": container.stdin, "stdinOnce": container.stdin_once, "tty": container.tty}
    return {**written, **{name: True for name, on in flags.items() if on}}


def _port(port: ContainerPort) -> Json:
    written = full(
        {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
    )
    if port.host_port:
        written["hostPort"] = port.host_port
    if port.host_ip:
        written["hostIP"] = port.host_ip
    return written


def _probe(probe: Probe) -> Json:
    written: Json = {
        **_action(probe),
        "initialDelaySeconds": seconds(probe.initial_delay_s),
        "periodSeconds": seconds(probe.period_s),
        "timeoutSeconds": seconds(probe.timeout_s),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }
    if probe.termination_grace_period_s is not None:
        written["terminationGracePeriodSeconds"] = seconds(probe.termination_grace_period_s)
    return written


def _action(probe: Probe) -> Json:
    action = probe.action
    if isinstance(action, HTTPGetAction):
        return {"httpGet": {"path": action.path, "port": action.port, **json_of(action)}}
    if isinstance(action, ExecAction):
        return {"exec": json_of(action)}
    if isinstance(action, GRPCAction):
        return {"grpc": json_of(action)}
    return {"tcpSocket": {"port": action.port, **json_of(action)}}
