"""How a pod begins and ends: init containers, sidecars, startup probes, deadlines, readiness gates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.controllers.pod_record import (
    Action,
    Probed,
    Relisted,
    SandboxCreated,
    StartContainer,
    Started,
    StartFailed,
    StopContainer,
    StopPod,
    Tick,
)
from testbed.controllers.pod_status import pod_status
from testbed.model.objects.metadata import Condition
from testbed.model.objects.pods import Pod, PodStatus

from .cluster import ECHO, PROBE
from .test_pod_lifecycle import IP, Script, bound, ended, play, runs

FIRST, SECOND = replace(ECHO, name="first"), replace(ECHO, name="second")
SIDECAR = replace(ECHO, name="side", restart_policy="Always")
INIT = bound(init_containers=(FIRST, SECOND))
ONCE = bound(init_containers=(FIRST, SECOND), restart_policy="Never")
BESIDE = bound(init_containers=(SIDECAR,))
SLOW = bound(containers=(replace(ECHO, startup_probe=PROBE, readiness_probe=PROBE),))
SHORT = bound(active_deadline_s=7.0)
UP: Script = [(0, SandboxCreated((IP,)))]
RUNNING: Script = [*UP, (0, Started("echo", runs()))]
FIRST_RUNS: Script = [*UP, (0, Started("first", runs()))]
FIRST_DONE: Script = [*FIRST_RUNS, (1, Relisted({"first": ended(1, 0)}))]
BOTH_DONE: Script = [
    *FIRST_DONE, (1, Started("second", runs(1))), (2, Relisted({"second": ended(2, 0)})),
]  # fmt: skip
FIRST_FAILED: Script = [*FIRST_RUNS, (1, Relisted({"first": ended(1, 3)}))]
SIDE_RUNS: Script = [*UP, (0, Started("side", runs()))]
SLOW_RUNS: Script = [*UP, (0, Started("echo", runs()))]

STEPS: list[tuple[str, Pod, Script, tuple[Action, ...], float | None]] = [
    ("the first init container alone", INIT, UP, (StartContainer(FIRST),), None),
    ("nothing while it runs", INIT, FIRST_RUNS, (), None),
    ("then the second", INIT, FIRST_DONE, (StartContainer(SECOND),), None),
    ("then the others", INIT, BOTH_DONE, (StartContainer(ECHO),), None),
    ("one that failed starts again", INIT, FIRST_FAILED, (StartContainer(FIRST),), None),
    ("or ends the pod", ONCE, FIRST_FAILED, (StopPod(3.0),), None),
    ("a sidecar first", BESIDE, UP, (StartContainer(SIDECAR),), None),
    ("and the others as soon as it runs", BESIDE, SIDE_RUNS, (StartContainer(ECHO),), None),
    ("a sidecar that ended well starts again", BESIDE,
     [*SIDE_RUNS, (1, Started("echo", runs(1))), (2, Relisted({"side": ended(2, 0)}))],
     (StartContainer(SIDECAR),), None),
    ("a startup probe that failed stops it", SLOW, [*SLOW_RUNS, (9, Probed("echo", "startup", False))],
     (StopContainer("echo", 39.0),), None),
    ("what it lacks is looked for later", bound(), [*UP, (1, StartFailed("echo", "no map", lacks=True))],
     (), 11.0),
    ("and it starts then", bound(),
     [*UP, (1, StartFailed("echo", "no map", lacks=True)), (11, Tick())], (StartContainer(ECHO),), None),
    ("a pod with a deadline is looked at then", SHORT, RUNNING, (), 7.0),
    ("and stopped", SHORT, [*RUNNING, (7, Tick())], (StopPod(37.0),), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "script", "actions", "wake_at_s"),
    [row[1:] for row in STEPS],
    ids=[row[0] for row in STEPS],
)
def test_what_is_done(
    pod: Pod, script: Script, actions: tuple[Action, ...], wake_at_s: float | None
) -> None:
    step = play(script, pod)
    assert (step.actions, step.wake_at_s) == (actions, wake_at_s)


STATUSES: list[tuple[str, Pod, Script, str, bool, str]] = [
    # name, pod, script, phase, ready, how its containers are, the first ones first
    ("initialising", INIT, FIRST_DONE, "Pending", False,
     "first terminated Completed, second waiting ContainerCreating, echo waiting ContainerCreating"),
    ("failed before it began", ONCE, FIRST_FAILED, "Failed", False,
     "first terminated Error, second waiting ContainerCreating, echo waiting ContainerCreating"),
    ("not started yet", SLOW, SLOW_RUNS, "Running", False, "echo running"),
    ("started, not ready", SLOW, [*SLOW_RUNS, (1, Probed("echo", "startup", True))],
     "Running", False, "echo running"),
    ("ready", SLOW, [*SLOW_RUNS, (1, Probed("echo", "startup", True)), (2, Probed("echo", "readiness", True))],
     "Running", True, "echo running"),
    ("lacks something", bound(), [*UP, (1, StartFailed("echo", "no map", lacks=True))],
     "Pending", False, "echo waiting CreateContainerConfigError"),
    ("no such program", bound(restart_policy="Never"), [*UP, (1, StartFailed("echo", "no sh"))],
     "Failed", False, "echo terminated StartError"),
    ("overdue", SHORT, [*RUNNING, (7, Tick())], "Failed", False, "echo running"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "script", "phase", "ready", "containers"),
    [row[1:] for row in STATUSES],
    ids=[row[0] for row in STATUSES],
)
def test_what_is_said(pod: Pod, script: Script, phase: str, ready: bool, containers: str) -> None:
    status = pod_status(play(script, pod).record, PodStatus(), 20.0)
    said = [f"{one.name} {one.state} {one.reason}".strip()
            for one in (*status.init_containers, *status.containers)]  # fmt: skip
    assert (status.phase, status.ready, ", ".join(said)) == (phase, ready, containers)


def test_a_pod_is_ready_when_its_gates_are_open_too() -> None:
    record = play(RUNNING, bound(readiness_gates=("a", "b"))).record
    for conditions, ready in (
        ((), False),
        ((Condition("a"), Condition("b", "False")), False),
        ((Condition("a"), Condition("b")), True),
    ):
        before = PodStatus(conditions=conditions)
        status = pod_status(record, before, 1.0)
        assert (status.ready, status.conditions) == (ready, conditions)


def test_a_restart_remembers_the_run_before() -> None:
    left = replace(ended(2.5, 3), message="out of tea")
    script: Script = [*RUNNING, (3, Relisted({"echo": left})), (3, Started("echo", runs(3)))]
    (status,) = pod_status(play(script, bound()).record, PodStatus(), 4.0).containers
    assert status.last is not None
    assert (status.last.exit_code, status.last.message) == (3, "out of tea")
