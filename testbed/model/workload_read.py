"""Kubernetes' JSON -> Deployment, ReplicaSet and DaemonSet."""

from __future__ import annotations

import re

from testbed.model.fields import Fields
from testbed.model.label_selector import OPERATORS, LabelSelector, LabelSelectorRequirement
from testbed.model.metadata_read import meta
from testbed.model.objects.metadata import Condition
from testbed.model.objects.workloads import (
    DaemonSet,
    DaemonSetStatus,
    Deployment,
    DeploymentStatus,
    PodTemplate,
    ReplicaSet,
    ReplicaSetStatus,
    RollingUpdate,
    UpdateStrategy,
)
from testbed.model.pod_read import pod_spec

_TOP = ("apiVersion", "kind", "metadata", "spec", "status", "testbed")
_SHARED = ("selector", "template", "minReadySeconds")
_SHARE = re.compile(r"[0-9]{1,3}%")


def deployment(fields: Fields, namespace: str) -> Deployment:
    fields.only(_TOP, ())
    spec, status = fields.child("spec"), fields.child("status")
    spec.only(
        (
            *_SHARED,
            "replicas",
            "strategy",
            "paused",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
        ),
        (),
    )
    selector, template = _selected_template(spec)
    return Deployment(
        meta=meta(fields, namespace),
        replicas=spec.integer("replicas", 1),
        selector=selector,
        template=template,
        strategy=deployment_strategy(spec.child("strategy")),
        paused=spec.boolean("paused"),
        min_ready_s=spec.seconds("minReadySeconds", 0.0),
        revision_history_limit=spec.integer("revisionHistoryLimit", 10),
        progress_deadline_s=spec.seconds("progressDeadlineSeconds", 600.0),
        status=DeploymentStatus(
            observed_generation=status.integer("observedGeneration", 0),
            replicas=status.integer("replicas", 0),
            updated_replicas=status.integer("updatedReplicas", 0),
            ready_replicas=status.integer("readyReplicas", 0),
            available_replicas=status.integer("availableReplicas", 0),
            unavailable_replicas=status.integer("unavailableReplicas", 0),
            collision_count=status.integer("collisionCount", 0),
            conditions=conditions(status, fields.child("testbed")),
        ),
    )


def replica_set(fields: Fields, namespace: str) -> ReplicaSet:
    fields.only(_TOP, ())
    spec, status = fields.child("spec"), fields.child("status")
    spec.only((*_SHARED, "replicas"), ())
    selector, template = _selected_template(spec)
    return ReplicaSet(
        meta=meta(fields, namespace),
        replicas=spec.integer("replicas", 1),
        selector=selector,
        template=template,
        min_ready_s=spec.seconds("minReadySeconds", 0.0),
        status=ReplicaSetStatus(
            observed_generation=status.integer("observedGeneration", 0),
            replicas=status.integer("replicas", 0),
            fully_labeled_replicas=status.integer("fullyLabeledReplicas", 0),
            ready_replicas=status.integer("readyReplicas", 0),
            available_replicas=status.integer("availableReplicas", 0),
            conditions=conditions(status, fields.child("testbed")),
        ),
    )


def daemon_set(fields: Fields, namespace: str) -> DaemonSet:
    fields.only(_TOP, ())
    spec, status = fields.child("spec"), fields.child("status")
    spec.only((*_SHARED, "updateStrategy", "revisionHistoryLimit"), ())
    selector, template = _selected_template(spec)
    strategy = spec.child("updateStrategy")
    strategy.only(("type", "rollingUpdate"), ())
    return DaemonSet(
        meta=meta(fields, namespace),
        selector=selector,
        template=template,
        strategy=UpdateStrategy(
            strategy.choice("type", ("RollingUpdate", "OnDelete"), "RollingUpdate"),
            _rolling_update(strategy.child("rollingUpdate"), RollingUpdate(0, 1)),
        ),
        min_ready_s=spec.seconds("minReadySeconds", 0.0),
        revision_history_limit=spec.integer("revisionHistoryLimit", 10),
        status=DaemonSetStatus(
            observed_generation=status.integer("observedGeneration", 0),
            current_number_scheduled=status.integer("currentNumberScheduled", 0),
            number_misscheduled=status.integer("numberMisscheduled", 0),
            desired_number_scheduled=status.integer("desiredNumberScheduled", 0),
            number_ready=status.integer("numberReady", 0),
            updated_number_scheduled=status.integer("updatedNumberScheduled", 0),
            number_available=status.integer("numberAvailable", 0),
            number_unavailable=status.integer("numberUnavailable", 0),
        ),
    )


def _selected_template(spec: Fields) -> tuple[LabelSelector, PodTemplate]:
    """The selector and the template, which must match it."""
    selector = label_selector(spec.child("selector"))
    template = spec.child("template")
    template.only(("metadata", "spec"), ())
    metadata = template.child("metadata")
    labels = metadata.labels("labels")
    if selector.empty:
        spec.wrong("selector" if spec.has("selector") else None, "selector.matchLabels is missing")
    elif not selector.matches(labels):
        spec.wrong("selector", "the template's labels do not match the selector")
    annotations = metadata.labels("annotations")
    return selector, PodTemplate(labels, pod_spec(template.child("spec")), annotations)


def label_selector(fields: Fields) -> LabelSelector:
    """metav1.LabelSelector."""
    fields.only(("matchLabels", "matchExpressions"), ())
    return LabelSelector(
        fields.labels("matchLabels"),
        tuple(_requirement(entry) for entry in fields.children("matchExpressions")),
    )


def _requirement(entry: Fields) -> LabelSelectorRequirement:
    entry.only(("key", "operator", "values"), ())
    operator = entry.choice("operator", OPERATORS, "In")
    values = entry.texts("values")
    if operator in ("In", "NotIn") and not values:
        entry.wrong(None, f"values is missing: {operator} needs some")
    return LabelSelectorRequirement(entry.text("key", required=True), operator, values)


def deployment_strategy(fields: Fields) -> UpdateStrategy:
    """A Deployment's `strategy`."""
    fields.only(("type", "rollingUpdate"), ())
    kind = fields.choice("type", ("RollingUpdate", "Recreate"), "RollingUpdate")
    how = _rolling_update(fields.child("rollingUpdate"), RollingUpdate("25%", "25%"))
    if kind == "Recreate":
        if fields.has("rollingUpdate"):
            fields.wrong("rollingUpdate", "may not be given when strategy.type is Recreate")
        return UpdateStrategy("Recreate")
    if _zero(how.max_surge) and _zero(how.max_unavailable):
        fields.wrong("rollingUpdate", "maxUnavailable may not be 0 when maxSurge is 0")
    return UpdateStrategy(kind, how)


def _rolling_update(fields: Fields, default: RollingUpdate) -> RollingUpdate:
    fields.only(("maxSurge", "maxUnavailable"), ())
    return RollingUpdate(
        _count_or_share(fields, "maxSurge", default.max_surge),
        _count_or_share(fields, "maxUnavailable", default.max_unavailable),
    )


def _count_or_share(fields: Fields, key: str, default: int | str) -> int | str:
    value = fields.values.get(key)
    if isinstance(value, str):
        if _SHARE.fullmatch(value):
            return value
        fields.wrong(key, f"{value[:40]!r} is neither a number nor a share", "write it like 25%")
        return default
    return fields.integer(key, 0) if value is not None else default


def _zero(value: int | str) -> bool:
    return value == 0 or (isinstance(value, str) and not int(value.rstrip("%")))


def conditions(status: Fields, times: Fields) -> tuple[Condition, ...]:
    """`status.conditions`, with their times from the key `testbed`."""
    seconds = times.child("conditionSeconds")
    return tuple(
        _condition(entry, seconds.child(entry.text("type")))
        for entry in status.children("conditions")
    )


def _condition(entry: Fields, times: Fields) -> Condition:
    return Condition(
        type=entry.text("type", required=True),
        status=entry.choice("status", ("True", "False", "Unknown"), "True"),
        reason=entry.text("reason"),
        message=entry.text("message"),
        changed_s=times.optional_seconds("changed"),
        updated_s=times.optional_seconds("updated"),
    )
