"""Kubernetes' JSON -> PodStatus. Times are under `testbed`, which Kubernetes has no place for."""

from __future__ import annotations

from testbed.model.fields import Fields
from testbed.model.objects.metadata import Condition
from testbed.model.objects.pods import ContainerStatus, PodStatus, Termination
from testbed.model.pod_status_write import WAITING

OWN_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)
"""Those that a pod's status tells without being told."""
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_EXIT_CODES = (-(2**31), 2**31 - 1)


def condition(status: Fields, kind: str, value: str = "True") -> bool:
    """Whether the condition of that type is True, or whatever else is asked for."""
    return any(
        entry.text("type") == kind and entry.text("status") == value
        for entry in status.children("conditions")
    )


def pod_status(status: Fields, times: Fields) -> PodStatus:
    """A pod's status."""
    told = _why_it_waits(status) or status
    return PodStatus(
        phase=status.choice("phase", _PHASES, "Pending"),
        pod_ips=status.first_and_all("podIP", "podIPs", _ips(status, "podIPs")),
        ready=condition(status, "Ready"),
        ready_changed_s=times.optional_seconds("readyChangedSeconds"),
        scheduled=condition(status, "PodScheduled"),
        reason=told.text("reason"),
        message=told.text("message"),
        containers=_containers(status, "containerStatuses", times),
        init_containers=_containers(status, "initContainerStatuses", times),
        conditions=tuple(
            _condition(entry, times.child("conditionSeconds").child(entry.text("type")))
            for entry in status.children("conditions")
            if entry.text("type") not in OWN_CONDITIONS
        ),
        host_ips=status.first_and_all("hostIP", "hostIPs", _ips(status, "hostIPs")),
        started_s=times.optional_seconds("startedSeconds"),
    )


def _why_it_waits(status: Fields) -> Fields | None:
    """The condition that says why the pod has no node."""
    for entry in status.children("conditions"):
        if entry.text("type") == "PodScheduled" and entry.text("reason") in WAITING:
            return entry
    return None


def _ips(status: Fields, key: str) -> tuple[str, ...]:
    return tuple(entry.text("ip") for entry in status.children(key))


def _condition(entry: Fields, times: Fields) -> Condition:
    return Condition(
        entry.text("type"),
        entry.text("status", "True"),
        entry.text("reason"),
        entry.text("message"),
        times.optional_seconds("changed"),
    )


def _containers(status: Fields, key: str, times: Fields) -> tuple[ContainerStatus, ...]:
    return tuple(_container(entry, times) for entry in status.children(key))


def _container(entry: Fields, times: Fields) -> ContainerStatus:
    name, state = entry.text("name"), entry.child("state")
    kind = next((kind for kind in ("running", "terminated") if state.has(kind)), "waiting")
    last = entry.child("lastState").child("terminated")
    ended = state.child(kind) if kind == "terminated" else last
    return ContainerStatus(
        name=name,
        ready=entry.boolean("ready"),
        restart_count=entry.integer("restartCount", 0),
        state=kind,
        reason=state.child(kind).text("reason"),
        exit_code=_exit_code(ended),
        started_s=times.child("containersStartedSeconds").optional_seconds(name),
        message=state.child(kind).text("message"),
        image=entry.text("image"),
        stands_in=entry.text("imageID"),
        started=entry.boolean("started") if entry.has("started") else None,
        finished_s=times.child("containersFinishedSeconds").optional_seconds(name),
        last=_termination(last, times.child("containersLastSeconds").child(name)),
    )


def _exit_code(ended: Fields) -> int | None:
    return ended.integer("exitCode", 0, _EXIT_CODES) if ended.has("exitCode") else None


def _termination(ended: Fields, times: Fields) -> Termination | None:
    code = _exit_code(ended)
    if code is None or not ended.has("reason"):
        return None
    return Termination(
        code,
        ended.text("reason"),
        ended.text("message"),
        times.optional_seconds("started"),
        times.optional_seconds("finished"),
    )
