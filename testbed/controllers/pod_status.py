"""A kubelet's record of a pod -> the status that it writes to the store."""

from __future__ import annotations

from dataclasses import replace

from testbed.controllers.pod_lifecycle import exit_reason, is_finished, termination
from testbed.controllers.pod_record import ContainerRecord, Life, PodRecord, Stage
from testbed.model.objects.pods import ContainerStatus, PodStatus

_OVERDUE = "Pod was active on the node longer than the specified deadline"


def pod_status(
    record: PodRecord, before: PodStatus, now_s: float, host_ips: tuple[str, ...] = ()
) -> PodStatus:
    """The status to write; `before` is what the store has (it keeps when Ready last changed, and what others
    say of the pod).

    Source: pkg/kubelet/kubelet_pods.go, generateAPIPodStatus and getPhase.
    """
    containers = tuple(_container_status(found, now_s) for found in record.containers)
    if record.evicted:
        phase, reason, message = before.phase, before.reason, before.message
    elif record.overdue:
        phase, reason, message = "Failed", "DeadlineExceeded", _OVERDUE
    else:
        phase = _phase(record)
        reason, message = _reason(record, containers)
    ready = phase == "Running" and bool(containers) and all(status.ready for status in containers)
    if ready and (gates := record.pod.spec.readiness_gates):
        true = {found.type for found in before.conditions if found.status == "True"}
        ready = true.issuperset(gates)
    return PodStatus(
        phase=phase,
        pod_ips=record.pod_ips,
        ready=ready,
        ready_changed_s=before.ready_changed_s if ready == before.ready else now_s,
        scheduled=True,
        reason=reason,
        message=message,
        containers=containers,
        init_containers=tuple(
            replace(_container_status(found, now_s), ready=found.ready or found.done)
            for found in record.init
        ),
        conditions=before.conditions,
        host_ips=host_ips,
        started_s=record.since_s,
    )


def _phase(record: PodRecord) -> str:
    ending = record.stage in (Stage.STOPPING, Stage.STOPPED)
    ended = all(found.life is Life.EXITED for found in record.containers)
    if is_finished(record) or (ending and ended):
        clean = all(found.exit_code == 0 for found in record.containers)
        return "Succeeded" if clean else "Failed"
    # One that could not be started has been tried, and is restarted: its pod is past Pending.
    untried = any(one.started_s is None and one.finished_s is None for one in record.containers)
    return "Pending" if untried else "Running"


def _reason(record: PodRecord, containers: tuple[ContainerStatus, ...]) -> tuple[str, str]:
    if record.problem:
        return "FailedCreatePodSandBox", record.problem
    for status, found in zip(containers, record.containers, strict=True):
        if status.state == "waiting" and status.reason == "CrashLoopBackOff":
            return status.reason, found.message or status.message
    return "", ""


def _container_status(found: ContainerRecord, now_s: float) -> ContainerStatus:
    state, reason, message = _state(found, now_s)
    over = state != "terminated" and found.finished_s is not None and not found.runs
    return ContainerStatus(
        name=found.spec.name,
        ready=found.ready,
        restart_count=found.restart_count,
        state=state,
        reason=reason,
        exit_code=found.exit_code,
        started_s=found.started_s,
        message=message,
        image=found.spec.image,
        stands_in=found.stands_in,
        started=found.started,
        finished_s=None if found.runs else found.finished_s,
        last=termination(found) if over else found.last,
    )


def _state(found: ContainerRecord, now_s: float) -> tuple[str, str, str]:
    """State, reason and message."""
    if found.runs:
        return "running", "", ""
    if found.lacks:
        return "waiting", "CreateContainerConfigError", found.lacks
    if found.finished_s is None:
        return "waiting", "ContainerCreating", ""
    if found.life is Life.EXITED and found.restart_at_s > now_s:
        back_off = (
            f"back-off {found.backoff.delay_s:g}s restarting failed container={found.spec.name}"
        )
        return "waiting", "CrashLoopBackOff", back_off
    return "terminated", exit_reason(found), found.message
