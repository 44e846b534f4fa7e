"""A pod's life on its node as a pure state machine: what happened -> next record, actions.

It stands in for kubelet's pod worker (pkg/kubelet: syncPod, SyncTerminatingPod, computePodActions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.controllers.pod_record import (
    Action,
    ContainerRecord,
    CreateSandbox,
    DeletePod,
    Gone,
    Happening,
    Life,
    PodRecord,
    Probed,
    Relisted,
    SandboxCreated,
    SandboxFailed,
    SandboxRemoved,
    Seen,
    Stage,
    StartContainer,
    Started,
    StartFailed,
    Step,
    StopContainer,
    StopPod,
    Tick,
)
from testbed.controllers.timing import KubeletTiming
from testbed.runtime.interface import ContainerState

_START_ERROR = 128
"""The exit code that containerd reports for a container that could not be started."""


def advance(record: PodRecord, happening: Happening, now_s: float, timing: KubeletTiming) -> Step:
    """One step. Equal arguments give equal steps; a step that changes nothing asks for no action
    that is under way already.
    """
    return _decide(_observe(record, happening, now_s, timing), now_s, timing)


def has_died(record: PodRecord, states: Mapping[str, ContainerState]) -> bool:
    """Whether the runtime's word on the containers is news to the record."""
    return any(
        container.runs and not states[container.spec.name].running
        for container in record.containers
        if container.spec.name in states
    )


def is_finished(record: PodRecord) -> bool:
    """Whether every container has ended for good."""
    return all(
        container.life is Life.EXITED and not _restarts(record, container)
        for container in record.containers
    )


# Facts: what happened becomes part of the record.


def _observe(
    record: PodRecord, happening: Happening, now_s: float, timing: KubeletTiming
) -> PodRecord:
    changes: dict[str, Any] = {}
    match happening:
        case Seen(pod):
            # Once it is being stopped, a terminal phase is this kubelet's own word come back.
            alive = record.stage not in (Stage.STOPPING, Stage.STOPPED)
            evicted = alive and pod.status.phase in TERMINAL_PHASES
            changes = {"pod": pod, "evicted": record.evicted or evicted}
        case Gone():
            changes = {"gone": True}
        case SandboxCreated(pod_ips):
            changes = {"stage": Stage.UP, "pod_ips": pod_ips, "problem": ""}
        case SandboxFailed(message):
            retry_at_s = now_s + timing.sandbox_retry_s
            changes = {"stage": Stage.NEW, "problem": message, "retry_at_s": retry_at_s}
        case SandboxRemoved():
            changes = {"stage": Stage.STOPPED}
        case Started() | StartFailed() | Relisted() | Probed():
            after = (_after(found, happening, now_s, timing) for found in record.containers)
            changes = {"containers": tuple(after)}
        case Tick():
            pass
    return replace(record, **changes)


def _after(
    container: ContainerRecord,
    happening: Started | StartFailed | Relisted | Probed,
    now_s: float,
    timing: KubeletTiming,
) -> ContainerRecord:
    name = container.spec.name
    match happening:
        case Started(container=which, state=state) if which == name:
            return _started(container, state, timing)
        case StartFailed(container=which, message=message) if which == name:
            now_ns = round(now_s * 1e9)
            failed = ContainerState(False, 0, now_ns, now_ns, _START_ERROR)
            return replace(_exited(container, failed, timing), message=message)
        case Relisted(states=states) if name in states:
            dead = container.runs and not states[name].running
            return _exited(container, states[name], timing) if dead else container
        case Probed(container=which) if which == name and container.runs:
            return _probed(container, happening)
    return container


def _started(
    container: ContainerRecord, state: ContainerState, timing: KubeletTiming
) -> ContainerRecord:
    running = replace(
        container,
        life=Life.RUNNING,
        # Without a readiness probe a container is ready as soon as it runs.
        ready=container.spec.readiness_probe is None,
        unhealthy=False,
        started_s=state.started_ns / 1e9,
        exit_code=None,
        message="",
    )
    return running if state.running else _exited(running, state, timing)


def _exited(
    container: ContainerRecord, state: ContainerState, timing: KubeletTiming
) -> ContainerRecord:
    finished_s = (state.started_ns if state.finished_ns is None else state.finished_ns) / 1e9
    return replace(
        container,
        life=Life.EXITED,
        ready=False,
        finished_s=finished_s,
        exit_code=state.exit_code,
        restart_at_s=container.backoff.restart_at_s(finished_s, timing),
    )


def _probed(container: ContainerRecord, verdict: Probed) -> ContainerRecord:
    if verdict.probe == "readiness":
        return replace(container, ready=verdict.ok)
    return replace(container, unhealthy=not verdict.ok)


# Decisions: what the record asks for.


def _decide(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    if record.stage is Stage.STOPPED:
        return _after_stop(record)
    busy = record.stage is Stage.CREATING or any(
        container.life is Life.STARTING for container in record.containers
    )
    if _must_end(record):
        # What is being made is finished first: the runtime is never asked two things at once.
        return Step(record) if busy else _stop(record, now_s, timing)
    if record.stage is Stage.NEW:
        if record.retry_at_s > now_s:
            return Step(record, wake_at_s=record.retry_at_s)
        return Step(replace(record, stage=Stage.CREATING), (CreateSandbox(),))
    if record.stage is Stage.UP:
        return _run_containers(record, now_s, timing)
    return Step(record)


def _after_stop(record: PodRecord) -> Step:
    if record.gone:
        return Step(record, forget=True)
    return Step(record, (DeletePod(),)) if record.pod.meta.deletion_s is not None else Step(record)


def _must_end(record: PodRecord) -> bool:
    terminating = record.pod.meta.deletion_s is not None
    return record.gone or terminating or record.evicted or is_finished(record)


def _stop(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    """Stop the pod; one that is being stopped only when it must now end earlier."""
    grace_s = record.pod.meta.deletion_grace_period_s
    if record.gone or record.evicted or grace_s is None:
        grace_s = 0.0
    kill_at_s = now_s + max(grace_s, timing.minimum_grace_s)
    if record.kill_at_s is not None and kill_at_s >= record.kill_at_s:
        return Step(record)
    stopping = replace(record, stage=Stage.STOPPING, kill_at_s=kill_at_s)
    return Step(stopping, (StopPod(kill_at_s),))


def _run_containers(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    containers: list[ContainerRecord] = []
    actions: list[Action] = []
    wakes: list[float] = []
    for container in record.containers:
        after = container
        if container.life in (Life.WAITING, Life.EXITED) and _restarts(record, container):
            if container.restart_at_s <= now_s:
                after = _starting(container, now_s, timing)
                actions.append(StartContainer(container.spec))
            else:
                wakes.append(container.restart_at_s)
        elif container.life is Life.RUNNING and container.unhealthy:
            after = replace(container, life=Life.STOPPING)
            grace_s = max(record.pod.spec.termination_grace_period_s, timing.minimum_grace_s)
            actions.append(StopContainer(container.spec.name, now_s + grace_s))
        containers.append(after)
    after_all = replace(record, containers=tuple(containers))
    return Step(after_all, tuple(actions), min(wakes, default=None))


def _starting(container: ContainerRecord, now_s: float, timing: KubeletTiming) -> ContainerRecord:
    if container.finished_s is None:
        return replace(container, life=Life.STARTING)
    return replace(
        container,
        life=Life.STARTING,
        restart_count=container.restart_count + 1,
        backoff=container.backoff.after_restart(container.finished_s, now_s, timing),
    )


def _restarts(record: PodRecord, container: ContainerRecord) -> bool:
    """Whether the restart policy starts it (again)."""
    if container.life is Life.WAITING:
        return True
    policy = record.pod.spec.restart_policy
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)
