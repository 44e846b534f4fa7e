"""Deployment, ReplicaSet and DaemonSet -> Kubernetes' JSON."""

from __future__ import annotations

from testbed.model.label_selector import LabelSelector
from testbed.model.metadata_write import (
    Json,
    condition_times,
    conditions,
    full,
    seconds,
    whole,
)
from testbed.model.objects.workloads import (
    DaemonSet,
    Deployment,
    PodTemplate,
    ReplicaSet,
    UpdateStrategy,
)
from testbed.model.pod_write import pod_spec


def deployment(item: Deployment) -> Json:
    spec: Json = {
        "replicas": item.replicas,
        "selector": label_selector(item.selector),
        "template": _template(item.template),
        "strategy": _strategy(item.strategy),
        "minReadySeconds": seconds(item.min_ready_s),
        "revisionHistoryLimit": item.revision_history_limit,
        "progressDeadlineSeconds": seconds(item.progress_deadline_s),
    }
    if not item.min_ready_s:
        del spec["minReadySeconds"]
    if item.paused:
        spec["paused"] = True
    found = item.status
    status = _counts(
        {
            "observedGeneration": found.observed_generation,
            "replicas": found.replicas,
            "updatedReplicas": found.updated_replicas,
            "readyReplicas": found.ready_replicas,
            "availableReplicas": found.available_replicas,
            "unavailableReplicas": found.unavailable_replicas,
            "collisionCount": found.collision_count,
        }
    )
    if found.conditions:
        status["conditions"] = conditions(found.conditions)
    return whole(item.meta, spec, status, condition_times(found.conditions))


def replica_set(item: ReplicaSet) -> Json:
    spec: Json = {
        "replicas": item.replicas,
        "selector": label_selector(item.selector),
        "template": _template(item.template),
    }
    if item.min_ready_s:
        spec["minReadySeconds"] = seconds(item.min_ready_s)
    found = item.status
    status = _counts(
        {
            "fullyLabeledReplicas": found.fully_labeled_replicas,
            "readyReplicas": found.ready_replicas,
            "availableReplicas": found.available_replicas,
            "observedGeneration": found.observed_generation,
        }
    )
    status = {"replicas": found.replicas, **status}
    if found.conditions:
        status["conditions"] = conditions(found.conditions)
    return whole(item.meta, spec, status, condition_times(found.conditions))


def daemon_set(item: DaemonSet) -> Json:
    spec: Json = {
        "selector": label_selector(item.selector),
        "template": _template(item.template),
        "updateStrategy": _strategy(item.strategy),
        "revisionHistoryLimit": item.revision_history_limit,
    }
    if item.min_ready_s:
        spec["minReadySeconds"] = seconds(item.min_ready_s)
    found = item.status
    status = {
        "currentNumberScheduled": found.current_number_scheduled,
        "numberMisscheduled": found.number_misscheduled,
        "desiredNumberScheduled": found.desired_number_scheduled,
        "numberReady": found.number_ready,
        **_counts(
            {
                "observedGeneration": found.observed_generation,
                "updatedNumberScheduled": found.updated_number_scheduled,
                "numberAvailable": found.number_available,
                "numberUnavailable": found.number_unavailable,
            }
        ),
    }
    return whole(item.meta, spec, status, {})


def label_selector(selector: LabelSelector) -> Json:
    """metav1.LabelSelector."""
    return full(
        {
            "matchLabels": dict(selector.match_labels),
            "matchExpressions": [
                full({"key": one.key, "operator": one.operator, "values": list(one.values)})
                for one in selector.match_expressions
            ],
        }
    )


def _template(template: PodTemplate) -> Json:
    metadata = {"labels": dict(template.labels), "annotations": dict(template.annotations)}
    return {"metadata": full(metadata), "spec": pod_spec(template.spec)}


def _strategy(strategy: UpdateStrategy) -> Json:
    if strategy.type != "RollingUpdate":
        return {"type": strategy.type}
    how = strategy.rolling_update
    bounds = {"maxUnavailable": how.max_unavailable, "maxSurge": how.max_surge}
    return {"rollingUpdate": bounds, "type": strategy.type}


def _counts(pairs: Json) -> Json:
    """Without the zeros, which Kubernetes leaves out of a status."""
    return {key: value for key, value in pairs.items() if value}
