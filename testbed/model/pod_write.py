"""Pod -> Kubernetes' JSON."""

from __future__ import annotations

from testbed.model.container_write import container_manifest
from testbed.model.metadata_write import Json, full, seconds, whole
from testbed.model.objects.pods import (
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
)
from testbed.model.pod_status_write import pod_status_manifest, pod_times
from testbed.model.spelled import json_of


def pod(item: Pod) -> Json:
    return whole(item.meta, pod_spec(item.spec), pod_status_manifest(item), pod_times(item.status))


def pod_spec(spec: PodSpec) -> Json:
    written = full(
        {
            "volumes": json_of(spec.volumes),
            "initContainers": [container_manifest(one) for one in spec.init_containers],
            "containers": [container_manifest(one) for one in spec.containers],
            "nodeName": spec.node_name,
            "nodeSelector": dict(spec.node_selector),
            "affinity": _affinities(spec),
            "tolerations": json_of(spec.tolerations),
            "topologySpreadConstraints": json_of(spec.topology_spread),
            "schedulingGates": [{"name": one} for one in spec.scheduling_gates],
            "restartPolicy": spec.restart_policy,
            "terminationGracePeriodSeconds": seconds(spec.termination_grace_period_s),
            "activeDeadlineSeconds": seconds(spec.active_deadline_s),
            "dnsPolicy": spec.dns_policy,
            "dnsConfig": json_of(spec.dns_config),
            "hostname": spec.hostname,
            "subdomain": spec.subdomain,
            "hostAliases": json_of(spec.host_aliases),
            "securityContext": json_of(spec.security_context),
            "serviceAccountName": spec.service_account_name,
            "serviceAccount": spec.service_account_name,
            "readinessGates": [{"conditionType": one} for one in spec.readiness_gates],
        }
    )
    flags = {
        "hostNetwork": (spec.host_network, True),
        "setHostnameAsFQDN": (spec.set_hostname_as_fqdn, True),
        "enableServiceLinks": (not spec.enable_service_links, False),
    }
    return {**written, **{name: value for name, (unusual, value) in flags.items() if unusual}}


def _affinities(spec: PodSpec) -> Json:
    found = {
        "nodeAffinity": spec.node_affinity and _affinity(spec.node_affinity),
        "podAffinity": json_of(spec.pod_affinity),
        "podAntiAffinity": json_of(spec.pod_anti_affinity),
    }
    return {key: affinity for key, affinity in found.items() if affinity is not None}


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
