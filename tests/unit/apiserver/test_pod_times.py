"""When runs of containers began and ended, as clients read it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.presented import Face, presented
from testbed.model.containers import Container
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import ContainerStatus, Pod, PodSpec, PodStatus, Termination

FACE = Face(("10.96.0.0/16",), unix_offset_s=1_700_000_000.0)


def at(seconds: int) -> str:
    return f"2023-11-14T22:13:{20 + seconds:02}Z"


def end(code: int, reason: str, **times: str) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, **times}


Run = dict[str, Any]
TABLE: tuple[tuple[str, ContainerStatus, Run, Run | None], ...] = (
    (
        "runs",
        ContainerStatus("main", state="running", started_s=2.0),
        {"running": {"startedAt": at(2)}},
        None,
    ),
    (
        "runs again",
        ContainerStatus(
            "main", state="running", started_s=9.0, last=Termination(1, "Error", "", 2.0, 5.0)
        ),
        {"running": {"startedAt": at(9)}},
        end(1, "Error", startedAt=at(2), finishedAt=at(5)),
    ),
    (
        "has ended",
        ContainerStatus(
            "main",
            state="terminated",
            reason="Completed",
            exit_code=0,
            started_s=2.0,
            finished_s=5.0,
        ),
        {"terminated": end(0, "Completed", startedAt=at(2), finishedAt=at(5))},
        None,
    ),
    (
        "could not be started: it began when that was tried",
        ContainerStatus(
            "main", state="terminated", reason="StartError", exit_code=128, finished_s=5.0
        ),
        {"terminated": end(128, "StartError", startedAt=at(5), finishedAt=at(5))},
        None,
    ),
    (
        "could not be started again after a run",
        ContainerStatus(
            "main",
            state="terminated",
            reason="StartError",
            exit_code=128,
            started_s=2.0,
            finished_s=8.0,
            last=Termination(1, "Error", "", 2.0, 5.0),
        ),
        {"terminated": end(128, "StartError", startedAt=at(8), finishedAt=at(8))},
        end(1, "Error", startedAt=at(2), finishedAt=at(5)),
    ),
    (
        "waits after it could not be started",
        ContainerStatus(
            "main",
            reason="CrashLoopBackOff",
            exit_code=128,
            finished_s=5.0,
            last=Termination(128, "StartError", "", None, 5.0),
        ),
        {"waiting": {"reason": "CrashLoopBackOff"}},
        end(128, "StartError", startedAt=at(5), finishedAt=at(5)),
    ),
    (
        "has not begun",
        ContainerStatus("main", reason="ContainerCreating"),
        {"waiting": {"reason": "ContainerCreating"}},
        None,
    ),
)


@pytest.mark.parametrize("key", ["containers", "init_containers"])
@pytest.mark.parametrize(
    ("written", "state", "last"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_a_container(key: str, written: ContainerStatus, state: Run, last: Run | None) -> None:
    spec = PodSpec((Container("main", "x"),))
    status = PodStatus("Running", started_s=1.0, **{key: (written,)})  # type: ignore[arg-type]
    found = presented(Pod(ObjectMeta("timed", "default"), spec, status), FACE)["status"]
    (one,) = found["containerStatuses" if key == "containers" else "initContainerStatuses"]
    assert one["state"] == state
    assert one.get("lastState", {}).get("terminated") == last
    assert found["startTime"] == at(1)
