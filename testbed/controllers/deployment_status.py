"""What a Deployment says of itself: counts, and the conditions that `kubectl rollout status` reads.

Source: pkg/controller/deployment/progress.go and sync.go, calculateStatus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from testbed.controllers.deployment_numbers import bounds
from testbed.model.objects.metadata import Condition
from testbed.model.objects.workloads import Deployment, DeploymentStatus, ReplicaSet

_FOREVER_S = 2147483647.0
"""progressDeadlineSeconds of a Deployment that has no deadline."""
DONE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"


def counted(
    deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], now_s: float
) -> DeploymentStatus:
    """The counts, and the condition Available."""
    sets = [*old, *((new,) if new else ())]
    available = sum(item.status.available_replicas for item in sets)
    enough = available >= deployment.replicas - bounds(deployment).unavailable
    condition = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    )
    return DeploymentStatus(
        observed_generation=deployment.meta.generation,
        replicas=sum(item.status.replicas for item in sets),
        updated_replicas=new.status.replicas if new else 0,
        ready_replicas=sum(item.status.ready_replicas for item in sets),
        available_replicas=available,
        unavailable_replicas=max(0, sum(item.replicas for item in sets) - available),
        collision_count=deployment.status.collision_count,
        conditions=with_condition(
            deployment.status.conditions, Condition("Available", *condition), now_s
        ),
    )


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether all pods are of the present template, and available."""
    want = deployment.replicas
    counts = (status.updated_replicas, status.replicas, status.available_replicas)
    return counts == (want, want, want)


def progressed(
    deployment: Deployment, new: ReplicaSet | None, status: DeploymentStatus, now_s: float
) -> tuple[DeploymentStatus, float | None]:
    """The status with its condition Progressing, and when the deadline for it comes."""
    if deployment.progress_deadline_s >= _FOREVER_S:
        return replace(status, conditions=_without(status.conditions, "Progressing")), None
    what = f'ReplicaSet "{new.meta.name}"' if new else f'Deployment "{deployment.meta.name}"'
    before = _found(status.conditions, "Progressing")
    done_before = before is not None and before.reason == DONE
    if status.replicas == status.updated_replicas and done_before:
        return status, None
    said: tuple[str, str, str] | None = None
    again = False
    if is_complete(deployment, status):
        said = ("True", DONE, f"{what} has successfully progressed.")
    elif _moves(deployment.status, status):
        said = ("True", "ReplicaSetUpdated", f"{what} is progressing.")
        again = True
    elif _is_late(deployment, before, now_s):
        said = ("False", TIMED_OUT, f"{what} has timed out progressing.")
    if said is not None:
        found = with_condition(
            status.conditions, Condition("Progressing", *said), now_s, again=again
        )
        status = replace(status, conditions=found)
    after = _found(status.conditions, "Progressing")
    waits = after is not None and after.reason not in (DONE, TIMED_OUT, PAUSED)
    return status, (
        after.updated_s or 0.0
    ) + deployment.progress_deadline_s if after and waits else None


def _moves(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def _is_late(deployment: Deployment, before: Condition | None, now_s: float) -> bool:
    if before is None or before.reason in (DONE, PAUSED):
        return False
    if before.reason == TIMED_OUT:
        return True
    return (before.updated_s or 0.0) + deployment.progress_deadline_s <= now_s


def pause_noted(
    deployment: Deployment, conditions: tuple[Condition, ...], now_s: float
) -> tuple[Condition, ...]:
    """With what Progressing says of a Deployment that was paused or resumed."""
    before = _found(conditions, "Progressing")
    is_paused = before is not None and before.reason == PAUSED
    if deployment.progress_deadline_s >= _FOREVER_S or deployment.paused == is_paused:
        return conditions
    if before is not None and before.reason == TIMED_OUT:
        return conditions
    said = (
        Condition("Progressing", "Unknown", PAUSED, "Deployment is paused")
        if deployment.paused
        else Condition("Progressing", "Unknown", RESUMED, "Deployment is resumed")
    )
    return with_condition(conditions, said, now_s)


def with_condition(
    conditions: Iterable[Condition], wanted: Condition, now_s: float, *, again: bool = False
) -> tuple[Condition, ...]:
    """The conditions with `wanted` in place of the one of its type. Said once more with the same status and
    reason it stays as it was, unless `again`; when its status changed last is kept.
    """
    others = list(conditions)
    place = next((at for at, one in enumerate(others) if one.type == wanted.type), len(others))
    before = others[place] if place < len(others) else None
    said = before is not None and (before.status, before.reason) == (wanted.status, wanted.reason)
    if said and not again:
        return tuple(others)
    same = before is not None and before.status == wanted.status
    changed_s = before.changed_s if before is not None and same else now_s
    others[place : place + 1] = [replace(wanted, changed_s=changed_s, updated_s=now_s)]
    return tuple(others)


def _found(conditions: Iterable[Condition], kind: str) -> Condition | None:
    return next((one for one in conditions if one.type == kind), None)


def _without(conditions: Iterable[Condition], kind: str) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.type != kind)
