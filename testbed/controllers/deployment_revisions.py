"""Which ReplicaSet of a Deployment is of its present template, how it is made, and the history of the others.

Source: pkg/controller/deployment/sync.go, getNewReplicaSet, and util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from testbed.controllers.deployment_numbers import DESIRED_ANNOTATION, MAX_ANNOTATION, max_replicas
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_making import owned_by, template_rest
from testbed.model.objects.metadata import Labels, ObjectMeta, with_meta
from testbed.model.objects.workloads import TEMPLATE_HASH_LABEL, Deployment, PodTemplate, ReplicaSet
from testbed.store import Delete, Snapshot, Write

REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
HISTORY_ANNOTATION = "deployment.kubernetes.io/revision-history"
_OWN_ANNOTATIONS = frozenset(
    [
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION_ANNOTATION,
        HISTORY_ANNOTATION,
        DESIRED_ANNOTATION,
        MAX_ANNOTATION,
    ]
)
"""Not copied from a Deployment to its ReplicaSets."""


def revision(item: Deployment | ReplicaSet) -> int:
    """Its place in the history; 0: none yet."""
    text = item.meta.annotations.get(REVISION_ANNOTATION, "")
    return int(text) if text.isdecimal() else 0


def split(
    deployment: Deployment, sets: Iterable[ReplicaSet]
) -> tuple[ReplicaSet | None, list[ReplicaSet]]:
    """The ReplicaSet of the present template (the oldest of several) and the others, oldest first."""
    ranked = sorted(sets, key=lambda item: (item.meta.creation_s, item.meta.name))
    new = next((item for item in ranked if _is_of(deployment, item)), None)
    return new, [item for item in ranked if item is not new]


def _is_of(deployment: Deployment, item: ReplicaSet) -> bool:
    labels = {key: text for key, text in item.template.labels.items() if key != TEMPLATE_HASH_LABEL}
    return replace(item.template, labels=labels) == _unhashed(
        deployment.template
    ) and template_rest(item) == template_rest(deployment)


def _unhashed(template: PodTemplate) -> PodTemplate:
    labels = {key: text for key, text in template.labels.items() if key != TEMPLATE_HASH_LABEL}
    return replace(template, labels=labels)


def next_revision(old: Iterable[ReplicaSet]) -> int:
    """Of a ReplicaSet that becomes the new one."""
    return max(map(revision, old), default=0) + 1


def made(
    deployment: Deployment, replicas: int, number: int, snapshot: Snapshot
) -> tuple[ReplicaSet, int]:
    """The ReplicaSet of the present template, and the collisions of names met so far."""
    namespace = deployment.meta.namespace
    collisions = deployment.status.collision_count
    while True:
        # Without a collision the hash depends on the template alone: an equal one has an equal name.
        salt = [collisions] if collisions else []
        template_hash = name_hash([deployment.template, template_rest(deployment), *salt], 10)
        name = f"{deployment.meta.name}-{template_hash}"
        if snapshot.get(ReplicaSet, namespace, name) is None:
            break
        collisions += 1
    hashed = {TEMPLATE_HASH_LABEL: template_hash}
    labels = {**deployment.template.labels, **hashed}
    selector = deployment.selector
    rest = template_rest(deployment)
    meta = ObjectMeta(
        name=name,
        namespace=namespace,
        labels=labels,
        annotations=lent_annotations(deployment, {REVISION_ANNOTATION: str(number)}),
        owners=(owned_by(deployment),),
        rest={"spec": {"template": rest}} if rest else {},
    )
    item = ReplicaSet(
        meta,
        replicas,
        replace(selector, match_labels={**selector.match_labels, **hashed}),
        replace(deployment.template, labels=labels),
        deployment.min_ready_s,
    )
    return item, collisions


def lent_annotations(deployment: Deployment, before: Labels) -> dict[str, str]:
    """The annotations of its new ReplicaSet: its own, and what the Deployment lends it."""
    lent = {
        key: text
        for key, text in deployment.meta.annotations.items()
        if key not in _OWN_ANNOTATIONS
    }
    return {**before, **lent, **sizes_annotated(deployment)}


def sizes_annotated(deployment: Deployment) -> dict[str, str]:
    """What its ReplicaSets remember of it, to notice when it is scaled."""
    return {
        DESIRED_ANNOTATION: str(deployment.replicas),
        MAX_ANNOTATION: str(max_replicas(deployment)),
    }


def brought_up(deployment: Deployment, new: ReplicaSet, old: Iterable[ReplicaSet]) -> ReplicaSet:
    """The new ReplicaSet as it should be, whatever its size: revision, annotations, minReadySeconds."""
    number = max(next_revision(old), revision(new))
    own = dict(new.meta.annotations)
    if number != revision(new):
        history = [own[key] for key in (HISTORY_ANNOTATION,) if own.get(key)]
        if revision(new):
            own[HISTORY_ANNOTATION] = ",".join([*history, str(revision(new))])
        own[REVISION_ANNOTATION] = str(number)
    wanted = lent_annotations(deployment, own)
    after = new if wanted == new.meta.annotations else with_meta(new, annotations=wanted)
    if after.min_ready_s != deployment.min_ready_s:
        after = replace(after, min_ready_s=deployment.min_ready_s)
    return after


def with_revision(deployment: Deployment, number: int) -> Labels:
    """The Deployment's annotations, with its revision."""
    found: Mapping[str, str] = deployment.meta.annotations
    return found if revision(deployment) == number else {**found, REVISION_ANNOTATION: str(number)}


def forgotten(deployment: Deployment, old: Sequence[ReplicaSet]) -> list[Write]:
    """Deletes what the history has no room for, the earliest revisions first."""
    alive = [item for item in old if item.meta.deletion_s is None]
    too_many = max(0, len(alive) - deployment.revision_history_limit)
    return [
        Delete(item.kind, item.meta.namespace, item.meta.name, item.meta.uid)
        for item in sorted(alive, key=revision)[:too_many]
        if item.replicas == item.status.replicas == 0
        and item.meta.generation <= item.status.observed_generation
    ]
