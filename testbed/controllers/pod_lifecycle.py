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
from testbed.model.objects.pods import Termination
from testbed.runtime.interface import ContainerState

START_ERROR = "StartError"
_START_ERROR_CODE = 128
"""What containerd reports of a container that could not be started: the reason, and the exit code."""


def advance(record: PodRecord, happening: Happening, now_s: float, timing: KubeletTiming) -> Step:
    """One step. Equal arguments give equal steps; a step that changes nothing asks for no action
    that is under way already.
    """
    return _decide(_observe(record, happening, now_s, timing), now_s, timing)


def has_died(record: PodRecord, states: Mapping[str, ContainerState]) -> bool:
    """Whether the runtime's word on the containers is news to the record."""
    return any(
        container.runs and not states[container.spec.name].running
        for container in record.every
        if container.spec.name in states
    )


def is_finished(record: PodRecord) -> bool:
    """Whether every container has ended for good, or will never start since one before it has failed."""
    if any(one.life is Life.EXITED and not _init_goes_on(record, one) for one in record.init):
        return True
    return all(
        container.life is Life.EXITED and not _restarts(record, container)
        for container in record.containers
    )


# Facts: what happened becomes part of the record.


def _observe(
    record: PodRecord, happening: Happening, now_s: float, timing: KubeletTiming
) -> PodRecord:
    changes: dict[str, Any] = {}
    if record.since_s is None:
        begun_s = record.pod.status.started_s  # by this kubelet, before it was started anew
        record = replace(record, since_s=now_s if begun_s is None else begun_s)
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
            changes = {
                key: tuple(_after(found, happening, now_s, timing) for found in containers)
                for key, containers in (("containers", record.containers), ("init", record.init))
            }
        case Tick():
            pass
    due_s = _deadline_s(record)
    return replace(record, overdue=due_s is not None and now_s >= due_s, **changes)


def _deadline_s(record: PodRecord) -> float | None:
    allowed_s = record.pod.spec.active_deadline_s
    return None if allowed_s is None or record.since_s is None else record.since_s + allowed_s


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
        case StartFailed(container=which, message=message, lacks=True) if which == name:
            retry_at_s = now_s + timing.sandbox_retry_s
            return replace(container, life=Life.WAITING, lacks=message, restart_at_s=retry_at_s)
        case StartFailed(container=which, message=message) if which == name:
            now_ns = round(now_s * 1e9)
            failed = ContainerState(False, 0, now_ns, now_ns, _START_ERROR_CODE, message)
            return replace(_exited(container, failed, timing), start_error=True, lacks="")
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
        # Without probes a container is ready as soon as it runs.
        ready=_ready_at_once(container) and container.spec.startup_probe is None,
        started=container.spec.startup_probe is None,
        unhealthy=False,
        started_s=state.started_ns / 1e9,
        exit_code=None,
        message="",
        start_error=False,
        lacks="",
        stands_in=state.stands_in,
    )
    return running if state.running else _exited(running, state, timing)


def _ready_at_once(container: ContainerRecord) -> bool:
    return container.spec.readiness_probe is None


def _exited(
    container: ContainerRecord, state: ContainerState, timing: KubeletTiming
) -> ContainerRecord:
    finished_s = (state.started_ns if state.finished_ns is None else state.finished_ns) / 1e9
    return replace(
        container,
        life=Life.EXITED,
        ready=False,
        started=False,
        finished_s=finished_s,
        exit_code=state.exit_code,
        message=state.message,
        restart_at_s=container.backoff.restart_at_s(finished_s, timing),
    )


def _probed(container: ContainerRecord, verdict: Probed) -> ContainerRecord:
    if verdict.probe == "readiness":
        return replace(container, ready=verdict.ok)
    if verdict.probe == "startup" and verdict.ok:
        return replace(container, started=True, ready=_ready_at_once(container))
    return replace(container, unhealthy=not verdict.ok)


# Decisions: what the record asks for.


def _decide(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    if record.stage is Stage.STOPPED:
        return _after_stop(record)
    busy = record.stage is Stage.CREATING or any(
        container.life is Life.STARTING for container in record.every
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
    return record.gone or terminating or record.evicted or record.overdue or is_finished(record)


def _stop(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    """Stop the pod; one that is being stopped only when it must now end earlier."""
    grace_s = record.pod.meta.deletion_grace_period_s
    if record.overdue and grace_s is None:
        grace_s = record.pod.spec.termination_grace_period_s
    if record.gone or record.evicted or grace_s is None:
        grace_s = 0.0
    kill_at_s = now_s + max(grace_s, timing.minimum_grace_s)
    if record.kill_at_s is not None and kill_at_s >= record.kill_at_s:
        return Step(record)
    stopping = replace(record, stage=Stage.STOPPING, kill_at_s=kill_at_s)
    return Step(stopping, (StopPod(kill_at_s),))


def _run_containers(record: PodRecord, now_s: float, timing: KubeletTiming) -> Step:
    """Start what is to run now: the next init container, sidecars that ended, or all the others."""
    turns: dict[str, Turn] = {}
    initialized = True
    for one in record.init:
        if not initialized:
            break
        turns[one.spec.name] = _turn(record, one, now_s, timing)
        initialized = one.started if one.spec.sidecar else one.done
    if initialized:
        turns |= {one.spec.name: _turn(record, one, now_s, timing) for one in record.containers}

    def after(containers: tuple[ContainerRecord, ...]) -> tuple[ContainerRecord, ...]:
        return tuple(
            turns[one.spec.name][0] if one.spec.name in turns else one for one in containers
        )

    actions = tuple(action for _, action, _ in turns.values() if action is not None)
    wakes = [wake for _, _, wake in turns.values() if wake is not None]
    if (due_s := _deadline_s(record)) is not None:
        wakes.append(due_s)
    after_all = replace(record, containers=after(record.containers), init=after(record.init))
    return Step(after_all, actions, min(wakes, default=None))


Turn = tuple[ContainerRecord, Action | None, float | None]
"""A container afterwards, what to do about it, when to look again."""


def _turn(
    record: PodRecord, container: ContainerRecord, now_s: float, timing: KubeletTiming
) -> Turn:
    if container.life in (Life.WAITING, Life.EXITED):
        if not _restarts(record, container):
            return container, None, None
        if container.restart_at_s > now_s:
            return container, None, container.restart_at_s
        return _starting(container, now_s, timing), StartContainer(container.spec), None
    if container.life is Life.RUNNING and container.unhealthy:
        grace_s = max(_grace_s(record, container), timing.minimum_grace_s)
        stop = StopContainer(container.spec.name, now_s + grace_s)
        return replace(container, life=Life.STOPPING), stop, None
    return container, None, None


def _grace_s(record: PodRecord, container: ContainerRecord) -> float:
    """For a container that failed its liveness or startup probe, which may say it for itself."""
    spec = container.spec
    probe = spec.liveness_probe if container.started else spec.startup_probe
    own_s = probe.termination_grace_period_s if probe is not None else None
    return record.pod.spec.termination_grace_period_s if own_s is None else own_s


def _starting(container: ContainerRecord, now_s: float, timing: KubeletTiming) -> ContainerRecord:
    if container.finished_s is None:
        return replace(container, life=Life.STARTING)
    return replace(
        container,
        life=Life.STARTING,
        restart_count=container.restart_count + 1,
        last=termination(container),
        backoff=container.backoff.after_restart(container.finished_s, now_s, timing),
    )


def termination(found: ContainerRecord) -> Termination:
    """How the run of a container ended."""
    code = 0 if found.exit_code is None else found.exit_code
    reason = exit_reason(found)
    return Termination(code, reason, found.message, found.started_s, found.finished_s)


def exit_reason(found: ContainerRecord) -> str:
    """containerd's word for how a container ended."""
    if found.start_error:
        return START_ERROR
    return "Completed" if found.exit_code == 0 else "Error"


def _restarts(record: PodRecord, container: ContainerRecord) -> bool:
    """Whether the restart policy starts it (again)."""
    if container.life is Life.WAITING:
        return True
    if container in record.init:
        return container.spec.sidecar or (not container.done and _init_goes_on(record, container))
    policy = record.pod.spec.restart_policy
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)


def _init_goes_on(record: PodRecord, container: ContainerRecord) -> bool:
    """Whether an init container that ended lets the pod live: it did well, or may try again."""
    if container.spec.sidecar:
        return True
    return container.done or record.pod.spec.restart_policy != "Never"
