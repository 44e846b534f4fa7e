"""How many pods each ReplicaSet of a Deployment may have: the arithmetic of a rolling update.

Source: pkg/controller/deployment/rolling.go and util/deployment_util.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model.objects.workloads import Deployment, ReplicaSet

DESIRED_ANNOTATION = "deployment.kubernetes.io/desired-replicas"
MAX_ANNOTATION = "deployment.kubernetes.io/max-replicas"

Sizes = dict[str, int]
"""Replicas to have from now on, by the ReplicaSet's name; what is not named stays."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a Deployment's rolling update, as numbers of pods."""

    surge: int
    unavailable: int


def bounds(deployment: Deployment) -> Bounds:
    """A share of the surge is rounded up, one of what may be unavailable down; one of both is not 0."""
    if deployment.strategy.type != "RollingUpdate":
        return Bounds(0, 0)
    how = deployment.strategy.rolling_update
    surge = count_of(how.max_surge, deployment.replicas, up=True)
    unavailable = count_of(how.max_unavailable, deployment.replicas, up=False)
    if not surge and not unavailable:
        unavailable = 1
    return Bounds(surge, min(unavailable, deployment.replicas))


def count_of(value: int | str, total: int, *, up: bool) -> int:
    """`3`, or `25%` of the total."""
    if isinstance(value, int):
        return value
    share = total * int(value.rstrip("%"))
    return -(-share // 100) if up else share // 100


def max_replicas(deployment: Deployment) -> int:
    """What an annotation of its ReplicaSets remembers: the most pods that it may have."""
    return deployment.replicas + bounds(deployment).surge


def scale_up(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> int:
    """The replicas that the new ReplicaSet should have now, `new` being None before it is made."""
    have = new.replicas if new else 0
    if have >= deployment.replicas or deployment.strategy.type != "RollingUpdate":
        return deployment.replicas
    total = have + sum(item.replicas for item in old)
    room = max(0, max_replicas(deployment) - total)
    return have + min(room, deployment.replicas - have)


def scale_down(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> Sizes:
    """Replicas of old ReplicaSets: first without pods that serve nobody, then less as availability bears."""
    min_available = deployment.replicas - bounds(deployment).unavailable
    total = new.replicas + sum(item.replicas for item in old)
    new_unavailable = new.replicas - new.status.available_replicas
    most = total - min_available - new_unavailable
    if most <= 0:
        return {}
    sizes = {item.meta.name: item.replicas for item in old}
    for item in old:
        idle = min(most, max(0, item.replicas - item.status.available_replicas))
        sizes[item.meta.name] -= idle
        most -= idle
    # What a ReplicaSet has been told to give up may still be in its status.
    available = sum(min(item.status.available_replicas, item.replicas) for item in (new, *old))
    spare = max(0, available - min_available)
    for item in old:
        fewer = min(sizes[item.meta.name], spare)
        sizes[item.meta.name] -= fewer
        spare -= fewer
    return {
        item.meta.name: sizes[item.meta.name]
        for item in old
        if sizes[item.meta.name] < item.replicas
    }


def is_saturated(deployment: Deployment, new: ReplicaSet | None) -> bool:
    """Whether the new ReplicaSet alone is the Deployment as it was last asked for."""
    if new is None:
        return False
    want = deployment.replicas
    return (new.replicas, new.status.available_replicas) == (
        want,
        want,
    ) and new.meta.annotations.get(DESIRED_ANNOTATION) == str(want)


def proportional(deployment: Deployment, active: Sequence[ReplicaSet]) -> Sizes:
    """Replicas for all that have some when a Deployment is scaled in the middle of a rollout."""
    allowed = max_replicas(deployment) if deployment.replicas > 0 else 0
    to_add = allowed - sum(item.replicas for item in active)
    # The largest first; of equals the newest when growing, the oldest when shrinking.
    newest_first = sorted(active, key=_age, reverse=to_add > 0)
    ranked = sorted(newest_first, key=lambda item: -item.replicas)
    sizes: Sizes = {}
    added = 0
    for item in ranked:
        part = _share(deployment, item, to_add - added) if to_add else 0
        sizes[item.meta.name] = item.replicas + part
        added += part
    if ranked and to_add != added:
        largest = ranked[0].meta.name
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _age(item: ReplicaSet) -> tuple[float, str]:
    return item.meta.creation_s, item.meta.name


def _share(deployment: Deployment, item: ReplicaSet, left: int) -> int:
    if item.replicas == 0 or left == 0:
        return 0
    fraction = _fraction(deployment, item)
    return min(fraction, left) if left > 0 else max(fraction, left)


def _fraction(deployment: Deployment, item: ReplicaSet) -> int:
    if deployment.replicas == 0:
        return -item.replicas
    before = _number(item.meta.annotations.get(MAX_ANNOTATION)) or deployment.status.replicas
    if not before:
        return 0
    # Halves away from zero, as Go's math.Round.
    return math.floor(item.replicas * max_replicas(deployment) / before + 0.5) - item.replicas


def is_scaling(deployment: Deployment, active: Sequence[ReplicaSet]) -> bool:
    """Whether it was asked for another number of pods since its ReplicaSets were last scaled."""
    wanted = (_number(item.meta.annotations.get(DESIRED_ANNOTATION)) for item in active)
    return any(found is not None and found != deployment.replicas for found in wanted)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
