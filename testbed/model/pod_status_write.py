"""PodStatus -> Kubernetes' JSON, and the times that it has no place for."""

from __future__ import annotations

from testbed.model.metadata_write import Json, condition_times, conditions, full, when
from testbed.model.objects.pods import ContainerStatus, Pod, PodStatus, Termination

WAITING = frozenset({"Unschedulable", "SchedulingGated"})
"""Why a pod has no node, in the scheduler's words."""


def pod_status_manifest(pod: Pod) -> Json:
    """A pod's status."""
    status = pod.status
    # Why it waits for a node is said by its condition PodScheduled alone.
    waits = not status.scheduled and status.reason in WAITING
    return full(
        {
            "phase": status.phase,
            "conditions": [*_own_conditions(pod), *conditions(status.conditions)],
            "reason": "" if waits else status.reason,
            "message": "" if waits else status.message,
            "hostIP": next(iter(status.host_ips), ""),
            "hostIPs": [{"ip": ip} for ip in status.host_ips],
            "podIP": status.pod_ip,
            "podIPs": [{"ip": ip} for ip in status.pod_ips],
            "initContainerStatuses": [_container(item) for item in status.init_containers],
            "containerStatuses": [_container(item) for item in status.containers],
        }
    )


def _own_conditions(pod: Pod) -> list[Json]:
    """What the kubelet and the scheduler say. Source: pkg/kubelet/status/generate.go."""
    status = pod.status
    scheduled = {"type": "PodScheduled", "status": when(status.scheduled)}
    if not status.scheduled and status.reason in WAITING:
        scheduled |= full({"reason": status.reason, "message": status.message})
    if not status.containers:
        return [scheduled, {"type": "Ready", "status": when(status.ready)}]
    unready = [item.name for item in status.containers if not item.ready]
    why: Json = {}
    if status.phase == "Succeeded":
        why = {"reason": "PodCompleted"}
    elif status.phase == "Failed":
        why = {"reason": "PodFailed"}
    elif unready:
        listed = " ".join(unready)
        why = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{listed}]",
        }
    gate = why or {"reason": "ReadinessGatesNotReady"}
    return [
        {"type": "PodReadyToStartContainers", "status": when(bool(status.pod_ips))},
        {"type": "Initialized", "status": when(_initialized(pod))},
        {"type": "Ready", "status": when(status.ready), **({} if status.ready else gate)},
        {"type": "ContainersReady", "status": when(not unready), **why},
        scheduled,
    ]


def _initialized(pod: Pod) -> bool:
    sidecars = {one.name for one in pod.spec.init_containers if one.sidecar}
    return all(
        item.started if item.name in sidecars else item.state == "terminated" and not item.exit_code
        for item in pod.status.init_containers
    )


def _container(status: ContainerStatus) -> Json:
    state = full({"reason": status.reason, "message": status.message})
    if status.state == "terminated" and status.exit_code is not None:
        state["exitCode"] = status.exit_code
    written: Json = {
        "name": status.name,
        "ready": status.ready,
        "restartCount": status.restart_count,
        "state": {status.state: state},
    }
    if status.last is not None:
        written["lastState"] = {"terminated": _termination(status.last)}
    elif status.state != "terminated" and status.exit_code is not None:
        written["lastState"] = {"terminated": {"exitCode": status.exit_code}}
    if status.image:
        written["image"] = status.image
        written["imageID"] = status.stands_in
    if status.started is not None:
        written["started"] = status.started
    return written


def _termination(last: Termination) -> Json:
    return full({"exitCode": last.exit_code, "reason": last.reason, "message": last.message})


def pod_times(status: PodStatus) -> Json:
    """When things came about, by what they are."""
    every = (*status.init_containers, *status.containers)
    last = {
        item.name: _known({"started": item.last.started_s, "finished": item.last.finished_s})
        for item in every
        if item.last is not None
    }
    return full(
        {
            **_known({"readyChangedSeconds": status.ready_changed_s}),
            "containersStartedSeconds": _known({one.name: one.started_s for one in every}),
            "containersFinishedSeconds": _known({one.name: one.finished_s for one in every}),
            "containersLastSeconds": {name: times for name, times in last.items() if times},
            **_known({"startedSeconds": status.started_s}),
            **condition_times(status.conditions),
        }
    )


def _known(times: dict[str, float | None]) -> dict[str, float]:
    return {name: time for name, time in times.items() if time is not None}
