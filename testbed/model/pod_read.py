"""Kubernetes' JSON -> Pod and Deployment."""

from __future__ import annotations

from testbed.model.fields import PORTS, Fields, words
from testbed.model.metadata_read import meta
from testbed.model.objects import (
    Container,
    ContainerPort,
    ContainerStatus,
    Deployment,
    HTTPGetAction,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplate,
    PreferredSchedulingTerm,
    Probe,
    TCPSocketAction,
)

_TOP = ("apiVersion", "kind", "metadata", "spec", "status", "testbed")
_POD_KEYS = words(
    "containers nodeName nodeSelector affinity restartPolicy terminationGracePeriodSeconds "
    "dnsPolicy"
)
_POD_IGNORED = words(
    "volumes activeDeadlineSeconds serviceAccountName serviceAccount schedulerName tolerations "
    "automountServiceAccountToken hostPID hostIPC shareProcessNamespace securityContext "
    "imagePullSecrets priorityClassName priority runtimeClassName enableServiceLinks "
    "preemptionPolicy overhead os hostUsers resources ephemeralContainers resourceClaims"
)
_POD_UNBUILT = words(
    "hostNetwork initContainers hostname subdomain hostAliases dnsConfig readinessGates "
    "topologySpreadConstraints setHostnameAsFQDN schedulingGates"
)
_CONTAINER_KEYS = words("name image command args ports readinessProbe livenessProbe")
_CONTAINER_IGNORED = words(
    "workingDir envFrom env resources resizePolicy volumeMounts volumeDevices "
    "terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin "
    "stdinOnce tty restartPolicy"
)
_CONTAINER_UNBUILT = ("startupProbe", "lifecycle")
_PROBE_KEYS = words(
    "httpGet tcpSocket initialDelaySeconds periodSeconds timeoutSeconds successThreshold "
    "failureThreshold"
)
_PROBE_UNBUILT = ("exec", "grpc", "terminationGracePeriodSeconds")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_COUNT = (1, 10**6)
_EXIT_CODES = (-(2**31), 2**31 - 1)


def condition(status: Fields, kind: str) -> bool:
    """Whether the condition of that type is True."""
    return any(
        entry.text("type") == kind and entry.text("status") == "True"
        for entry in status.children("conditions")
    )


def pod(fields: Fields, namespace: str) -> Pod:
    fields.only(_TOP, ())
    return Pod(
        meta=meta(fields, namespace),
        spec=pod_spec(fields.child("spec")),
        status=_status(fields.child("status"), fields.child("testbed")),
    )


def deployment(fields: Fields, namespace: str) -> Deployment:
    fields.only(_TOP, ())
    spec = fields.child("spec")
    spec.only(
        ("replicas", "selector", "template"),
        ("strategy", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"),
        ("paused",),
    )
    selector = spec.child("selector")
    selector.only(("matchLabels",), (), ("matchExpressions",))
    labels = selector.labels("matchLabels")
    template = spec.child("template")
    template.only(("metadata", "spec"), ())
    metadata = template.child("metadata")
    pod_labels = metadata.labels("labels")
    if not labels:
        spec.wrong("selector" if spec.has("selector") else None, "selector.matchLabels is missing")
    elif any(pod_labels.get(name) != value for name, value in labels.items()):
        selector.wrong("matchLabels", "the template's labels do not match the selector")
    return Deployment(
        meta=meta(fields, namespace),
        replicas=spec.integer("replicas", 1),
        selector=labels,
        template=PodTemplate(
            labels=pod_labels,
            spec=pod_spec(template.child("spec")),
            annotations=metadata.labels("annotations"),
        ),
    )


def pod_spec(spec: Fields) -> PodSpec:
    spec.only(_POD_KEYS, _POD_IGNORED, _POD_UNBUILT)
    if not spec.has("containers"):
        spec.missing("containers")
    entries = spec.children("containers")
    containers = tuple(_container(entry) for entry in entries)
    names = [container.name for container in containers]
    for index, entry in enumerate(entries):
        if names[index] in names[:index]:
            entry.wrong("name", f"a second container is named {names[index]!r}")
    affinity = spec.child("affinity")
    affinity.only(("nodeAffinity",), (), ("podAffinity", "podAntiAffinity"))
    return PodSpec(
        containers=containers,
        node_name=spec.text("nodeName"),
        node_selector=spec.labels("nodeSelector"),
        node_affinity=node_affinity(affinity.child("nodeAffinity"))
        if affinity.has("nodeAffinity")
        else None,
        restart_policy=spec.choice("restartPolicy", ("Always", "OnFailure", "Never"), "Always"),
        termination_grace_period_s=spec.seconds("terminationGracePeriodSeconds", 30.0),
        dns_policy=spec.choice(
            "dnsPolicy", ("ClusterFirst", "Default", "ClusterFirstWithHostNet"), "ClusterFirst"
        ),
    )


def _container(entry: Fields) -> Container:
    entry.only(_CONTAINER_KEYS, _CONTAINER_IGNORED, _CONTAINER_UNBUILT)
    return Container(
        name=entry.text("name", required=True),
        image=entry.text("image", required=True),
        ports=tuple(_container_port(port) for port in entry.children("ports")),
        command=entry.texts("command"),
        args=entry.texts("args"),
        readiness_probe=probe(entry, "readinessProbe"),
        liveness_probe=probe(entry, "livenessProbe"),
    )


def _container_port(entry: Fields) -> ContainerPort:
    entry.only(("containerPort", "name", "protocol"), (), ("hostPort", "hostIP"))
    if not entry.has("containerPort"):
        entry.missing("containerPort")
    return ContainerPort(
        container_port=entry.integer("containerPort", 0, PORTS),
        name=entry.text("name"),
        protocol=entry.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"),
    )


def probe(parent: Fields, key: str) -> Probe | None:
    """The probe at `key`, or None where there is none."""
    if not parent.has(key):
        return None
    fields = parent.child(key)
    fields.only(_PROBE_KEYS, (), _PROBE_UNBUILT)
    if fields.has("httpGet") == fields.has("tcpSocket"):
        fields.wrong(None, "needs one of httpGet and tcpSocket", "as in httpGet: {port: 8080}")
    action: HTTPGetAction | TCPSocketAction
    if fields.has("httpGet"):
        get = fields.child("httpGet")
        get.only(("path", "port"), ("httpHeaders",), ("host", "scheme"))
        action = HTTPGetAction(get.text("path", "/"), get.port("port", required=True))
    else:
        socket = fields.child("tcpSocket")
        socket.only(("port",), (), ("host",))
        action = TCPSocketAction(socket.port("port", required=fields.has("tcpSocket")))
    return Probe(
        action=action,
        initial_delay_s=fields.seconds("initialDelaySeconds", 0.0),
        period_s=fields.seconds("periodSeconds", 10.0, low=0.01),
        timeout_s=fields.seconds("timeoutSeconds", 1.0, low=0.001),
        success_threshold=fields.integer("successThreshold", 1, _COUNT),
        failure_threshold=fields.integer("failureThreshold", 3, _COUNT),
    )


def node_affinity(fields: Fields) -> NodeAffinity:
    """Node affinity as Kubernetes writes it."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    fields.only((required, preferred), ())
    terms = fields.child(required).children("nodeSelectorTerms")
    return NodeAffinity(
        required=tuple(_term(term) for term in terms),
        preferred=tuple(
            PreferredSchedulingTerm(
                weight=entry.integer("weight", 1, (1, 100)),
                preference=_term(entry.child("preference")),
            )
            for entry in fields.children(preferred)
        ),
    )


def _term(fields: Fields) -> NodeSelectorTerm:
    fields.only(("matchExpressions", "matchFields"), ())
    return NodeSelectorTerm(
        match_expressions=tuple(map(_requirement, fields.children("matchExpressions"))),
        match_fields=tuple(map(_requirement, fields.children("matchFields"))),
    )


def _requirement(fields: Fields) -> NodeSelectorRequirement:
    fields.only(("key", "operator", "values"), ())
    return NodeSelectorRequirement(
        key=fields.text("key", required=True),
        operator=fields.choice("operator", _OPERATORS, "In"),
        values=fields.texts("values"),
    )


def _status(status: Fields, times: Fields) -> PodStatus:
    started = times.child("containersStartedSeconds")
    return PodStatus(
        phase=status.choice("phase", _PHASES, "Pending"),
        pod_ips=status.first_and_all(
            "podIP", "podIPs", tuple(entry.text("ip") for entry in status.children("podIPs"))
        ),
        ready=condition(status, "Ready"),
        ready_changed_s=times.optional_seconds("readyChangedSeconds"),
        scheduled=condition(status, "PodScheduled"),
        reason=status.text("reason"),
        message=status.text("message"),
        containers=tuple(
            _container_status(entry, started) for entry in status.children("containerStatuses")
        ),
    )


def _container_status(entry: Fields, started: Fields) -> ContainerStatus:
    name, state = entry.text("name"), entry.child("state")
    kind = next((kind for kind in ("running", "terminated") if state.has(kind)), "waiting")
    last = entry.child("lastState").child("terminated")
    ended = state.child(kind) if kind == "terminated" else last
    exit_code = ended.integer("exitCode", 0, _EXIT_CODES) if ended.has("exitCode") else None
    return ContainerStatus(
        name=name,
        ready=entry.boolean("ready"),
        restart_count=entry.integer("restartCount", 0),
        state=kind,
        reason=state.child(kind).text("reason"),
        exit_code=exit_code,
        started_s=started.optional_seconds(name),
    )
