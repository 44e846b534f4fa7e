"""Deployment -> Pods: as many as asked for, of the present template, replaced when they are lost.

Pods belong to the Deployment directly: the ReplicaSet between them would add a write and no
behaviour that service networking can see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice

from testbed.controllers.decision import Decision
from testbed.controllers.name_hash import name_hash
from testbed.controllers.pod_deletion import TERMINAL_PHASES, deletion
from testbed.model.objects import (
    ORDINAL_NAMES_ANNOTATION,
    Deployment,
    ObjectMeta,
    OwnerReference,
    Pod,
)
from testbed.store import Create, Snapshot, Write

TEMPLATE_HASH_LABEL = "pod-template-hash"
_MAX_SURGE = 0.25
_MAX_UNAVAILABLE = 0.25
"""Kubernetes' defaults of RollingUpdate: the one is rounded up, the other down."""


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates what is missing; deletes what is too many, outdated or without an owner."""
    owned: dict[str, list[Pod]] = {}
    for pod in snapshot.list(Pod):
        owner = pod.meta.owner
        if owner is not None and owner.kind == Deployment.kind:
            owned.setdefault(owner.uid, []).append(pod)
    taken = {(pod.meta.namespace, pod.meta.name) for pod in snapshot.list(Pod)}
    writes: list[Write] = []
    for deployment in snapshot.list(Deployment):
        pods = [pod for pod in owned.pop(deployment.meta.uid, ()) if is_active(pod)]
        writes += _reconcile_one(deployment, pods, taken, now_s)
    # What is left in `owned` has lost its Deployment: Kubernetes' garbage collector, background.
    orphans = (pod for pods in owned.values() for pod in pods)
    writes += [deletion(pod, now_s) for pod in orphans if pod.meta.deletion_s is None]
    return writes, None


def is_active(pod: Pod) -> bool:
    """Whether a ReplicaSet counts it: neither ended nor terminating."""
    return pod.meta.deletion_s is None and pod.status.phase not in TERMINAL_PHASES


def _reconcile_one(
    deployment: Deployment, pods: Sequence[Pod], taken: set[tuple[str, str]], now_s: float
) -> list[Write]:
    """Source: pkg/controller/deployment/rolling.go, in one step instead of two ReplicaSets."""
    want = deployment.replicas
    template_hash = name_hash(deployment.template, 10)
    new = [pod for pod in pods if pod.meta.labels.get(TEMPLATE_HASH_LABEL) == template_hash]
    old = [pod for pod in pods if pod.meta.labels.get(TEMPLATE_HASH_LABEL) != template_hash]
    surge = math.ceil(want * _MAX_SURGE) if old else 0
    missing = min(want - len(new), want + surge - len(pods))
    if missing > 0:
        names = islice(_free_names(deployment, template_hash, taken), missing)
        return [Create(_pod(deployment, name, template_hash)) for name in names] + [
            deletion(pod, now_s) for pod in _old_to_delete(want, new, old)
        ]
    surplus = _first_to_go(new)[: len(new) - want] if len(new) > want else []
    return [deletion(pod, now_s) for pod in (*surplus, *_old_to_delete(want, new, old))]


def _old_to_delete(want: int, new: Sequence[Pod], old: Sequence[Pod]) -> list[Pod]:
    """Old pods that may go now: those that serve nobody, then what availability bears."""
    if not old:
        return []
    min_available = want - math.floor(want * _MAX_UNAVAILABLE)
    new_unavailable = sum(not pod.status.ready for pod in new)
    room = max(0, len(new) + len(old) - min_available - new_unavailable)
    available = sum(pod.status.ready for pod in (*new, *old))
    ranked = _first_to_go(old)
    idle = [pod for pod in ranked if not pod.status.ready][:room]
    serving = [pod for pod in ranked if pod.status.ready][: max(0, available - min_available)]
    return [*idle, *serving]


def _first_to_go(pods: Iterable[Pod]) -> list[Pod]:
    """Pods in the order of deletion: unbound, pending, not ready, highest ordinal, youngest.

    Source: pkg/controller/controller_utils.go, ActivePodsWithRanks; ordinals are the testbed's own,
    so that scaling `web` from 3 to 2 removes `web-2`.
    """
    return sorted(
        pods,
        key=lambda pod: (
            bool(pod.spec.node_name),
            pod.status.phase == "Running",
            pod.status.ready,
            -_ordinal(pod),
            -pod.meta.creation_s,
            pod.meta.name,
        ),
    )


def _ordinal(pod: Pod) -> int:
    """The number of `web-3`; 0 for a pod that is named by hash."""
    owner = pod.meta.owner.name if pod.meta.owner else ""
    tail = pod.meta.name.removeprefix(f"{owner}-")
    return int(tail) if tail.isdecimal() else 0


def _free_names(
    deployment: Deployment, template_hash: str, taken: set[tuple[str, str]]
) -> Iterator[str]:
    """Names for new pods, lowest ordinal first; each is marked as taken when it is handed out."""
    meta = deployment.meta
    ordinal = meta.annotations.get(ORDINAL_NAMES_ANNOTATION) == "ordinal"
    for index in count():
        if ordinal:
            name = f"{meta.name}-{index}"
        else:
            suffix = name_hash([meta.uid, template_hash, index], 5)
            name = f"{meta.name}-{template_hash}-{suffix}"
        if (meta.namespace, name) not in taken:
            taken.add((meta.namespace, name))
            yield name


def _pod(deployment: Deployment, name: str, template_hash: str) -> Pod:
    meta, template = deployment.meta, deployment.template
    return Pod(
        ObjectMeta(
            name=name,
            namespace=meta.namespace,
            labels={**template.labels, TEMPLATE_HASH_LABEL: template_hash},
            annotations=template.annotations,
            owners=(OwnerReference(deployment.kind, meta.name, meta.uid),),
        ),
        template.spec,
    )
