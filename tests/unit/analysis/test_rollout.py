"""Rolling updates made up: what was lost, and who got the requests afterwards, is read back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis import rollout
from testbed.analysis.run import Run, load_run
from tests.unit.analysis.synthetic import MS_NS, SECOND_NS, meta_of, write_run

BEGUN_S, DONE_S, END_S = 10.0, 14.0, 20.0
PODS = ("web-3", "web-4", "web-5")


def event(at_s: float, source: str, kind: str, **detail: Any) -> dict[str, Any]:
    return {"trial": "t", "t_ns": int(at_s * SECOND_NS), "source": source, "node": "", "kind": kind,
            "object": "", "resource_version": 0, "detail": detail}  # fmt: skip


def request(
    due_s: float, stream: str, pod: str, outcome: str = "ok", **more: Any
) -> dict[str, Any]:
    due_ns = int(due_s * SECOND_NS)
    return {"trial": "t", "stream": stream, "client": "c", "connection": 1, "picked_backend": pod,
            "outcome": outcome, "scheduled_ns": due_ns, "end_ns": due_ns + MS_NS} | more  # fmt: skip


def run_of(tmp_path: Path, *samples: dict[str, Any], copies: int = 1) -> Run:
    """`copies` equal trials."""
    events = [
        event(5, "store", "endpoint-ready", pod="default/web-0"),
        event(BEGUN_S, "trial", rollout.BEGUN),
        *(
            event(BEGUN_S + 1 + at, "store", "endpoint-ready", pod=f"default/{pod}")
            for at, pod in enumerate(PODS)
        ),
        event(DONE_S, "trial", rollout.DONE),
    ]
    names = [f"t{number}" for number in range(copies)]
    trials = pd.DataFrame(
        [{"trial": name, "block": name, "replicas": 3, "valid": True} for name in names]
    )
    rows = [{**one, "trial": name} for name in names for one in samples]
    return load_run(
        write_run(
            tmp_path / "run",
            meta_of("rollout", {"replicas": [3]}),
            trials,
            pd.DataFrame(rows),
            events=[{**one, "trial": name} for name in names for one in events],
        )
    )


def kept(shares: tuple[int, int, int]) -> list[dict[str, Any]]:
    """So many requests on kept connections to each new pod afterwards."""
    return [
        request(DONE_S + 1, "kept", pod, connection=number)
        for number, (pod, count) in enumerate(zip(PODS, shares, strict=True))
        for _ in range(count)
    ]


DURING = [
    ("due before, over before", 9.0, {}, 0),
    ("due before, in flight at its begin", 9.9, {"end_ns": int(10.1 * SECOND_NS)}, 1),
    ("due in it", 12.0, {}, 1),
    ("due when it was over", 14.5, {}, 0),
]


@pytest.mark.parametrize(("_", "due_s", "more", "counted"), DURING, ids=[row[0] for row in DURING])
def test_which_requests_the_update_could_hurt(
    tmp_path: Path, _: str, due_s: float, more: dict[str, Any], counted: int
) -> None:
    lost = request(due_s, "outage", "web-0", "refused", **more)
    calm = request(12.5, "outage", "web-3")
    (row,) = rollout.metrics(run_of(tmp_path, lost, calm, *kept((1, 1, 1)))).to_dict("records")
    assert (row["failed_new"], row["offered_new"]) == (counted, 1 + counted)
    assert row["lost_share_new"] == pytest.approx(counted / (1 + counted))
    assert row["rollout_s"] == pytest.approx(4.0)


def test_the_last_pod_is_the_one_that_came_last(tmp_path: Path) -> None:
    run = run_of(tmp_path, request(12, "outage", "web-3"), *kept((5, 4, 1)))
    (row,) = rollout.metrics(run).to_dict("records")
    assert row["kept_last_share"] == pytest.approx(0.1)
    (update,) = rollout.updates(run)
    assert list(rollout.shares_afterwards(update, "kept")) == [5, 4, 1]


def test_a_pod_that_nobody_dials_is_there_with_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, request(12, "outage", "web-3"), *kept((5, 5, 0)))
    assert rollout.metrics(run)["kept_last_share"].tolist() == [0.0]


VERDICTS = [
    ("nobody notices", "ok", (4, 4, 4), {"holds"}),
    ("all is lost, and the last pod is idle", "refused", (6, 6, 0), {"does not hold"}),
]


@pytest.mark.parametrize(
    ("_", "outcome", "shares", "verdicts"), VERDICTS, ids=[row[0] for row in VERDICTS]
)
def test_verdicts(
    tmp_path: Path, _: str, outcome: str, shares: tuple[int, int, int], verdicts: set[str]
) -> None:
    during = [request(12, stream, "web-3", outcome) for stream in ("outage", "kept")]
    found = rollout.findings(run_of(tmp_path, *during, *kept(shares), copies=6), "h", 0.001, 0.05)
    assert {one.verdict for one in found} == verdicts
    assert [one.name for one in found] == ["no-new-lost", "no-kept-lost", "last-pod-has-its-share"]


def test_a_trial_without_an_update_tells_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, request(12, "outage", "web-3"))
    run = run.only(run.trials["trial"])
    empty = type(run)(
        run.directory, run.meta, run.trials, run.samples, run.ledger, run.events.iloc[:0]
    )
    assert rollout.metrics(empty).empty
    assert {one.verdict for one in rollout.findings(empty, "h", 0.001, 0.05)} == {"undecided"}
