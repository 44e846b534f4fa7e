"""The pod's state machine as a table: what happened so far, and what the last of it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.controllers.pod_lifecycle import advance, has_died
from testbed.controllers.pod_record import (
    Action,
    CreateSandbox,
    DeletePod,
    Gone,
    Happening,
    PodRecord,
    Probed,
    Relisted,
    SandboxCreated,
    SandboxFailed,
    SandboxRemoved,
    Seen,
    StartContainer,
    Started,
    StartFailed,
    Step,
    StopContainer,
    StopPod,
    Tick,
)
from testbed.controllers.pod_status import pod_status
from testbed.controllers.timing import KubeletTiming
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.pods import ContainerStatus, Pod, PodStatus, Termination
from testbed.runtime.interface import ContainerState

from .cluster import ECHO, PROBE, pod

TIMING = KubeletTiming()
IP = "10.244.1.2"
TWO = (replace(ECHO, name="a"), replace(ECHO, name="b"))
PROBED = replace(ECHO, readiness_probe=PROBE, liveness_probe=PROBE)


def bound(**spec: Any) -> Pod:
    return pod(node_name="n1", **spec)


def doomed(grace_s: float = 30.0, **spec: Any) -> Pod:
    return with_meta(bound(**spec), deletion_s=0.0, deletion_grace_period_s=grace_s)


def runs(since_s: float = 0.0) -> ContainerState:
    return ContainerState(True, 7, round(since_s * 1e9))


def ended(at_s: float, exit_code: int = 137) -> ContainerState:
    return ContainerState(False, 7, 0, round(at_s * 1e9), exit_code)


Script = list[tuple[float, Happening]]


def play(script: Script, first: Pod) -> Step:
    """The last step of a script that begins with seeing `first` at time 0."""
    step = advance(PodRecord.of(first), Seen(first), 0.0, TIMING)
    for at_s, happening in script:
        step = advance(step.record, happening, at_s, TIMING)
    return step


UP: Script = [(0, SandboxCreated((IP,))), (0, Started("echo", runs()))]
START = StartContainer(ECHO)

STEPS: list[tuple[str, Pod, Script, tuple[Action, ...], float | None]] = [
    # name, pod, script, actions of the last step, wake_at_s
    ("a new pod gets a sandbox", bound(), [], (CreateSandbox(),), None),
    ("then its container", bound(), UP[:1], (START,), None),
    ("then nothing is left to do", bound(), UP, (), None),
    ("seen twice, it gets no second sandbox", bound(), [(0, Seen(bound()))], (), None),
    ("a tick while starting starts nothing twice", bound(), [*UP[:1], (1, Tick())], (), None),
    ("all containers start together", bound(containers=TWO), UP[:1],
     tuple(StartContainer(spec) for spec in TWO), None),
    ("no sandbox: tried again later", bound(), [(0, SandboxFailed("full"))], (), 10.0),
    ("and then again", bound(), [(0, SandboxFailed("full")), (10, Tick())],
     (CreateSandbox(),), None),
    ("a dead container is started at once", bound(), [*UP, (3, Relisted({"echo": ended(2.5)}))],
     (START,), None),
    ("a second death waits 10 s from the exit", bound(),
     [*UP, (3, Relisted({"echo": ended(2.5)})), (3, Started("echo", runs(3))),
      (5, Relisted({"echo": ended(4.5)}))], (), 14.5),
    ("no earlier", bound(),
     [*UP, (3, Relisted({"echo": ended(2.5)})), (3, Started("echo", runs(3))),
      (5, Relisted({"echo": ended(4.5)})), (14.4, Tick())], (), 14.5),
    ("and then it starts", bound(),
     [*UP, (3, Relisted({"echo": ended(2.5)})), (3, Started("echo", runs(3))),
      (5, Relisted({"echo": ended(4.5)})), (14.5, Tick())], (START,), None),
    ("a container that ends while it starts is noticed without a relist", bound(),
     [*UP[:1], (1, Started("echo", ended(1)))], (START,), None),
    ("a container that cannot start counts as ended", bound(),
     [*UP[:1], (1, StartFailed("echo", "no program"))], (START,), None),
    ("a relist without news", bound(), [*UP, (3, Relisted({"echo": runs()}))], (), None),
    ("an old relist does not end a container that is starting", bound(),
     [*UP, (3, Relisted({"echo": ended(2)})), (3, Relisted({"echo": ended(2)}))], (), None),
    ("liveness lost: the container is stopped with its grace period", bound(containers=(PROBED,)),
     [*UP, (40, Probed("echo", "liveness", False))], (StopContainer("echo", 70.0),), None),
    ("liveness lost while it is being stopped is no news", bound(containers=(PROBED,)),
     [*UP, (40, Probed("echo", "liveness", False)), (41, Probed("echo", "liveness", False))],
     (), None),
    ("stopped for liveness, it starts again", bound(containers=(PROBED,)),
     [*UP, (40, Probed("echo", "liveness", False)), (50, Relisted({"echo": ended(50)}))],
     (StartContainer(PROBED),), None),
    ("readiness lost starts and stops nothing", bound(containers=(PROBED,)),
     [*UP, (40, Probed("echo", "readiness", False))], (), None),
    ("a probe's late word on a dead container counts for nothing", bound(restart_policy="Never"),
     [*UP, (3, Relisted({"echo": ended(2)})), (3, Probed("echo", "liveness", False))], (), None),
    ("deletion asked for: stop with the grace period", bound(), [*UP, (5, Seen(doomed(20)))],
     (StopPod(25.0),), None),
    ("seen again, it is not stopped twice", bound(),
     [*UP, (5, Seen(doomed(20))), (6, Seen(doomed(20)))], (), None),
    ("a shorter grace period brings the kill forward", bound(),
     [*UP, (5, Seen(doomed(20))), (6, Seen(doomed(3)))], (StopPod(9.0),), None),
    ("the object is gone: the least grace", bound(), [*UP, (5, Gone())], (StopPod(7.0),), None),
    ("gone while it was being stopped", bound(), [*UP, (5, Seen(doomed(20))), (6, Gone())],
     (StopPod(8.0),), None),
    ("doomed while its sandbox is made: that is finished first", bound(),
     [(1, Seen(doomed(20)))], (), None),
    ("and then stopped, before any container starts", bound(),
     [(1, Seen(doomed(20))), (2, SandboxCreated((IP,)))], (StopPod(22.0),), None),
    ("doomed while a container starts: likewise", bound(),
     [*UP[:1], (1, Seen(doomed(20))), (2, Started("echo", runs(2)))], (StopPod(22.0),), None),
    ("no restart while being stopped", bound(),
     [*UP, (5, Seen(doomed(20))), (6, Relisted({"echo": ended(6)}))], (), None),
    ("with the sandbox gone, so is the object", bound(),
     [*UP, (5, Seen(doomed(20))), (6, SandboxRemoved())], (DeletePod(),), None),
    ("a pod that never got a sandbox is deleted the same way", bound(),
     [(0, SandboxFailed("full")), (1, Seen(doomed(20)))], (StopPod(21.0),), None),
    ("all ended for good: the sandbox goes, the object stays", bound(restart_policy="Never"),
     [*UP, (3, Relisted({"echo": ended(2)}))], (StopPod(5.0),), None),
    ("its own terminal status seen again is no eviction", bound(restart_policy="Never"),
     [*UP, (3, Relisted({"echo": ended(2)})), (4, SandboxRemoved()),
      (5, Seen(replace(bound(restart_policy="Never"), status=PodStatus("Failed"))))], (), None),
    ("somebody wrote that it failed: stopped", bound(),
     [*UP, (5, Seen(replace(bound(), status=PodStatus("Failed", reason="Evicted"))))],
     (StopPod(7.0),), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "script", "actions", "wake_at_s"),
    [row[1:] for row in STEPS],
    ids=[row[0] for row in STEPS],
)
def test_steps(
    first: Pod, script: Script, actions: tuple[Action, ...], wake_at_s: float | None
) -> None:
    step = play(script, first)
    assert (step.actions, step.wake_at_s) == (actions, wake_at_s)
    again = advance(step.record, Tick(), script[-1][0] if script else 0.0, TIMING)
    assert [action for action in again.actions if not isinstance(action, DeletePod)] == []


def test_a_pod_is_forgotten_once_nothing_is_left_of_it() -> None:
    script: Script = [*UP, (5, Gone()), (6, SandboxRemoved())]
    assert play(script, bound()).forget
    assert not play(script[:-1], bound()).forget


def test_has_died() -> None:
    record = play(UP, bound()).record
    assert has_died(record, {"echo": ended(1)})
    assert not has_died(record, {"echo": runs()})
    assert not has_died(record, {})


CRASHED: Script = [*UP, (3, Relisted({"echo": ended(2.5)}))]
LOOPING: Script = [*CRASHED, (3, Started("echo", runs(3))), (5, Relisted({"echo": ended(4.5)}))]
NEVER = bound(restart_policy="Never")

STATUSES: list[tuple[str, Pod, Script, tuple[str, str, bool], tuple[str, str, bool]]] = [
    # name, pod, script, (phase, reason, ready), (container state, reason, ready)
    ("being created", bound(), [], ("Pending", "", False), ("waiting", "ContainerCreating", False)),
    ("no sandbox", bound(), [(0, SandboxFailed("full"))],
     ("Pending", "FailedCreatePodSandBox", False), ("waiting", "ContainerCreating", False)),
    ("starting", bound(), UP[:1], ("Pending", "", False), ("waiting", "ContainerCreating", False)),
    ("running without a readiness probe", bound(), UP,
     ("Running", "", True), ("running", "", True)),
    ("running, not yet probed", bound(containers=(PROBED,)), UP,
     ("Running", "", False), ("running", "", False)),
    ("probed", bound(containers=(PROBED,)), [*UP, (1, Probed("echo", "readiness", True))],
     ("Running", "", True), ("running", "", True)),
    ("crashed, being restarted", bound(), CRASHED,
     ("Running", "", False), ("terminated", "Error", False)),
    ("waiting for the next restart", bound(), LOOPING,
     ("Running", "CrashLoopBackOff", False), ("waiting", "CrashLoopBackOff", False)),
    ("being stopped while it still runs", bound(), [*UP, (5, Seen(doomed()))],
     ("Running", "", True), ("running", "", True)),
    ("stopped", bound(), [*UP, (5, Seen(doomed())), (5, Relisted({"echo": ended(5, 0)}))],
     ("Succeeded", "", False), ("terminated", "Completed", False)),
    ("ended well, for good", NEVER, [*UP, (5, Relisted({"echo": ended(5, 0)}))],
     ("Succeeded", "", False), ("terminated", "Completed", False)),
    ("ended badly, for good", NEVER, [*UP, (5, Relisted({"echo": ended(5, 1)}))],
     ("Failed", "", False), ("terminated", "Error", False)),
    ("could not be started", NEVER, [*UP[:1], (5, StartFailed("echo", "no program"))],
     ("Failed", "", False), ("terminated", "StartError", False)),
    ("could not be started, and is to be again", bound(), [*UP[:1], (5, StartFailed("echo", "no program"))],
     ("Running", "", False), ("terminated", "StartError", False)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "script", "expected", "container"),
    [row[1:] for row in STATUSES],
    ids=[row[0] for row in STATUSES],
)
def test_status(
    first: Pod, script: Script, expected: tuple[str, str, bool], container: tuple[str, str, bool]
) -> None:
    status = pod_status(play(script, first).record, PodStatus(), 6.0)
    assert (status.phase, status.reason, status.ready) == expected
    (seen,) = status.containers
    assert (seen.state, seen.reason, seen.ready) == container
    assert status.scheduled


def test_one_container_that_is_not_ready_makes_the_pod_not_ready() -> None:
    two = (PROBED, replace(ECHO, name="side"))
    script: Script = [*UP, (0, Started("side", runs()))]
    status = pod_status(play(script, bound(containers=two)).record, PodStatus(), 6.0)
    assert [found.ready for found in status.containers] == [False, True]
    assert (status.phase, status.ready) == ("Running", False)


def test_when_readiness_changed_is_kept_until_it_changes() -> None:
    record = play(UP, bound()).record
    first = pod_status(record, PodStatus(), 6.0)
    assert first.ready_changed_s == 6.0
    assert pod_status(record, first, 9.0) == first


def test_a_restarted_container_says_how_often() -> None:
    record = play([*CRASHED, (3.5, Started("echo", runs(3.5)))], bound()).record
    assert pod_status(record, PodStatus(), 6.0).containers == (
        ContainerStatus(
            "echo",
            True,
            1,
            "running",
            started_s=3.5,
            image="testbed/echo",
            started=True,
            last=Termination(137, "Error", started_s=0.0, finished_s=2.5),
        ),
    )
