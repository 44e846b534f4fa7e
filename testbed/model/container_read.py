"""Kubernetes' JSON -> Container."""

from __future__ import annotations

from typing import TypeVar

from testbed.model.containers import (
    Asking,
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    Lifecycle,
    Probe,
    ResourceRequirements,
    SecurityContext,
    TCPSocketAction,
    default_pull_policy,
)
from testbed.model.fields import PORTS, Fields, words
from testbed.model.spelled import json_of, many, one
from testbed.model.volumes import VolumeMount

_KEYS = words(
    "name image command args ports readinessProbe livenessProbe startupProbe lifecycle workingDir "
    "env envFrom volumeMounts resources terminationMessagePath terminationMessagePolicy "
    "securityContext stdin stdinOnce tty restartPolicy imagePullPolicy"
)
_IGNORED = words("resizePolicy volumeDevices")
_PROBE_KEYS = words(
    "httpGet tcpSocket exec grpc initialDelaySeconds periodSeconds timeoutSeconds successThreshold "
    "failureThreshold terminationGracePeriodSeconds"
)
_ACTIONS = ("httpGet", "tcpSocket", "exec", "grpc")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_COUNT = (1, 10**6)
T = TypeVar("T")


def containers(spec: Fields, key: str) -> tuple[Container, ...]:
    """The containers in the list at `key`; two of one name are a mistake."""
    entries = spec.children(key)
    found = tuple(_container(entry) for entry in entries)
    names = [container.name for container in found]
    for index, entry in enumerate(entries):
        if names[index] in names[:index]:
            entry.wrong("name", f"a second container is named {names[index]!r}")
    return found


def _container(entry: Fields) -> Container:
    entry.only(_KEYS, _IGNORED)
    return Container(
        name=entry.text("name", required=True),
        image=entry.text("image", required=True),
        ports=tuple(_port(port) for port in entry.children("ports")),
        command=entry.texts("command"),
        args=entry.texts("args"),
        readiness_probe=probe(entry, "readinessProbe"),
        liveness_probe=probe(entry, "livenessProbe"),
        startup_probe=probe(entry, "startupProbe"),
        lifecycle=one(entry, "lifecycle", Lifecycle),
        working_dir=entry.text("workingDir"),
        env=many(entry, "env", EnvVar),
        env_from=many(entry, "envFrom", EnvFromSource),
        volume_mounts=many(entry, "volumeMounts", VolumeMount),
        security_context=loosely(entry, "securityContext", SecurityContext),
        resources=loosely(entry, "resources", ResourceRequirements),
        restart_policy=entry.text("restartPolicy"),
        image_pull_policy=_pull_policy(entry),
        termination_message_path=entry.text("terminationMessagePath", "/dev/termination-log"),
        termination_message_policy=entry.choice(
            "terminationMessagePolicy", ("File", "FallbackToLogsOnError"), "File"
        ),
        stdin=entry.boolean("stdin"),
        stdin_once=entry.boolean("stdinOnce"),
        tty=entry.boolean("tty"),
    )


def _pull_policy(entry: Fields) -> str:
    """ "" where it is the default: whether that is said makes no difference to anybody."""
    default = default_pull_policy(entry.text("image"))
    said = entry.choice("imagePullPolicy", _PULL_POLICIES, default)
    return "" if said == default else said


def loosely(parent: Fields, key: str, kind: type[T]) -> T | None:
    """The value at `key`, of which much means nothing here; None where nothing of it does."""
    found = one(Fields(parent.values, parent.path, parent.mistakes, open=True), key, kind)
    return found if json_of(found) else None


def _port(entry: Fields) -> ContainerPort:
    entry.only(("containerPort", "name", "protocol", "hostPort", "hostIP"), ())
    if not entry.has("containerPort"):
        entry.missing("containerPort")
    return ContainerPort(
        container_port=entry.integer("containerPort", 0, PORTS),
        name=entry.text("name"),
        protocol=entry.choice("protocol", _PROTOCOLS, "TCP"),
        host_port=entry.integer("hostPort", 0, (0, PORTS[1])),
        host_ip=entry.text("hostIP"),
    )


def probe(parent: Fields, key: str) -> Probe | None:
    """The probe at `key`, or None where there is none."""
    if not parent.has(key):
        return None
    fields = parent.child(key)
    fields.only(_PROBE_KEYS, ())
    if sum(fields.has(action) for action in _ACTIONS) != 1:
        fields.wrong(
            None, "needs one of httpGet, tcpSocket, exec and grpc", "as in httpGet: {port: 8080}"
        )
    return Probe(
        action=_action(fields),
        initial_delay_s=fields.seconds("initialDelaySeconds", 0.0),
        period_s=fields.seconds("periodSeconds", 10.0, low=0.01),
        timeout_s=fields.seconds("timeoutSeconds", 1.0, low=0.001),
        success_threshold=fields.integer("successThreshold", 1, _COUNT),
        failure_threshold=fields.integer("failureThreshold", 3, _COUNT),
        termination_grace_period_s=fields.optional_seconds("terminationGracePeriodSeconds"),
    )


def _action(fields: Fields) -> Asking:
    if fields.has("exec"):
        return one(fields, "exec", ExecAction) or ExecAction()
    if fields.has("grpc"):
        return one(fields, "grpc", GRPCAction) or GRPCAction(0)
    if not fields.has("httpGet"):
        tcp = fields.child("tcpSocket")
        tcp.only(("port", "host"), ())
        port = tcp.port("port", required=fields.has("tcpSocket"))
        return TCPSocketAction(port, tcp.text("host"))
    get = fields.child("httpGet")
    get.only(("path", "port", "host", "scheme", "httpHeaders"), ())
    https = get.choice("scheme", ("HTTP", "HTTPS"), "HTTP") == "HTTPS"
    return HTTPGetAction(
        get.text("path", "/"),
        get.port("port", required=True),
        get.text("host"),
        "HTTPS" if https else "HTTP",
        many(get, "httpHeaders", HTTPHeader),
    )
