"""A kubelet's record of a pod -> the status that it writes to the store."""

from __future__ import annotations

from testbed.controllers.pod_lifecycle import is_finished
from testbed.controllers.pod_record import ContainerRecord, Life, PodRecord, Stage
from testbed.model.objects import ContainerStatus, PodStatus


def pod_status(record: PodRecord, before: PodStatus, now_s: float) -> PodStatus:
    """The status to write; `before` is what the store has (it keeps when Ready last changed).

    Source: pkg/kubelet/kubelet_pods.go, generateAPIPodStatus and getPhase.
    """
    containers = tuple(_container_status(found, now_s) for found in record.containers)
    if record.evicted:
        phase, reason, message = before.phase, before.reason, before.message
    else:
        phase = _phase(record)
        reason, message = _reason(record, containers)
    ready = phase == "Running" and bool(containers) and all(status.ready for status in containers)
    return PodStatus(
        phase=phase,
        pod_ips=record.pod_ips,
        ready=ready,
        ready_changed_s=before.ready_changed_s if ready == before.ready else now_s,
        scheduled=True,
        reason=reason,
        message=message,
        containers=containers,
    )


def _phase(record: PodRecord) -> str:
    ending = record.stage in (Stage.STOPPING, Stage.STOPPED)
    ended = all(found.life is Life.EXITED for found in record.containers)
    if is_finished(record) or (ending and ended):
        clean = all(found.exit_code == 0 for found in record.containers)
        return "Succeeded" if clean else "Failed"
    never_ran = any(found.started_s is None for found in record.containers)
    return "Pending" if never_ran else "Running"


def _reason(record: PodRecord, containers: tuple[ContainerStatus, ...]) -> tuple[str, str]:
    if record.problem:
        return "FailedCreatePodSandBox", record.problem
    for status, found in zip(containers, record.containers, strict=True):
        if status.state == "waiting" and status.reason == "CrashLoopBackOff":
            message = found.message or (
                f"back-off {found.backoff.delay_s:g}s restarting failed container={status.name}"
            )
            return status.reason, message
    return "", ""


def _container_status(found: ContainerRecord, now_s: float) -> ContainerStatus:
    state, reason = _state(found, now_s)
    return ContainerStatus(
        name=found.spec.name,
        ready=found.ready,
        restart_count=found.restart_count,
        state=state,
        reason=reason,
        exit_code=found.exit_code,
        started_s=found.started_s,
    )


def _state(found: ContainerRecord, now_s: float) -> tuple[str, str]:
    if found.runs:
        return "running", ""
    if found.finished_s is None:
        return "waiting", "ContainerCreating"
    if found.life is Life.EXITED and found.restart_at_s > now_s:
        return "waiting", "CrashLoopBackOff"
    return "terminated", exit_reason(found)


def exit_reason(found: ContainerRecord) -> str:
    """containerd's word for how a container ended."""
    if found.message:
        return "StartError"
    return "Completed" if found.exit_code == 0 else "Error"
