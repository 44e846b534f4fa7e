"""Kubernetes' JSON -> Pod."""

from __future__ import annotations

from testbed.model.container_read import containers, loosely
from testbed.model.containers import HostAlias, SecurityContext
from testbed.model.fields import Fields, words
from testbed.model.metadata_read import meta
from testbed.model.objects.pods import (
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PreferredSchedulingTerm,
)
from testbed.model.pod_dns import pod_dns
from testbed.model.pod_status_read import pod_status
from testbed.model.scheduling import PodAffinity, Toleration, TopologySpreadConstraint
from testbed.model.spelled import many, one
from testbed.model.volumes import Volume

_TOP = ("apiVersion", "kind", "metadata", "spec", "status", "testbed")
_POD_KEYS = words(
    "containers nodeName nodeSelector affinity restartPolicy terminationGracePeriodSeconds "
    "dnsPolicy initContainers volumes hostNetwork hostname subdomain setHostnameAsFQDN hostAliases "
    "dnsConfig enableServiceLinks securityContext activeDeadlineSeconds serviceAccountName "
    "serviceAccount readinessGates tolerations topologySpreadConstraints schedulingGates"
)
_POD_IGNORED = words(
    "schedulerName automountServiceAccountToken hostPID hostIPC shareProcessNamespace "
    "imagePullSecrets priorityClassName priority runtimeClassName "
    "preemptionPolicy overhead os hostUsers resources ephemeralContainers resourceClaims"
)
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def pod(fields: Fields, namespace: str) -> Pod:
    fields.only(_TOP, ())
    return Pod(
        meta=meta(fields, namespace),
        spec=pod_spec(fields.child("spec")),
        status=pod_status(fields.child("status"), fields.child("testbed")),
    )


def pod_spec(spec: Fields) -> PodSpec:
    spec.only(_POD_KEYS, _POD_IGNORED)
    if not spec.has("containers"):
        spec.missing("containers")
    dns = pod_dns(spec)
    affinity = spec.child("affinity")
    affinity.only(("nodeAffinity", "podAffinity", "podAntiAffinity"), ())
    return PodSpec(
        containers=containers(spec, "containers"),
        node_name=spec.text("nodeName"),
        node_selector=spec.labels("nodeSelector"),
        node_affinity=node_affinity(affinity.child("nodeAffinity"))
        if affinity.has("nodeAffinity")
        else None,
        restart_policy=spec.choice("restartPolicy", ("Always", "OnFailure", "Never"), "Always"),
        termination_grace_period_s=spec.seconds("terminationGracePeriodSeconds", 30.0),
        dns_policy=dns.policy,
        init_containers=containers(spec, "initContainers"),
        volumes=many(spec, "volumes", Volume),
        host_network=spec.boolean("hostNetwork"),
        hostname=spec.text("hostname"),
        subdomain=spec.text("subdomain"),
        set_hostname_as_fqdn=spec.boolean("setHostnameAsFQDN"),
        host_aliases=many(spec, "hostAliases", HostAlias),
        dns_config=dns.config,
        enable_service_links=spec.boolean("enableServiceLinks", True),
        security_context=loosely(spec, "securityContext", SecurityContext),
        active_deadline_s=spec.optional_seconds("activeDeadlineSeconds"),
        service_account_name=spec.text("serviceAccountName"),
        readiness_gates=tuple(
            gate.text("conditionType", required=True) for gate in spec.children("readinessGates")
        ),
        tolerations=many(spec, "tolerations", Toleration),
        pod_affinity=one(affinity, "podAffinity", PodAffinity),
        pod_anti_affinity=one(affinity, "podAntiAffinity", PodAffinity),
        topology_spread=many(spec, "topologySpreadConstraints", TopologySpreadConstraint),
        scheduling_gates=tuple(
            gate.text("name", required=True) for gate in spec.children("schedulingGates")
        ),
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
