"""Pods that moved, made up: whose connections survive is read back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis import reschedule
from testbed.analysis.run import Run, load_run
from tests.unit.analysis.synthetic import SECOND_NS, meta_of, write_run

T0_S, BACK_S, END_S = 10.0, 12.0, 15.0
OLD, NEW, OTHER = "web-1", "web-3", "web-0"


def event(at_s: float, source: str, kind: str, **detail: Any) -> dict[str, Any]:
    return {"t_ns": int(at_s * SECOND_NS), "source": source, "node": "", "kind": kind, "object": "",
            "resource_version": 0, "detail": detail}  # fmt: skip


EVENTS = [
    event(1, "store", "endpoint-ready", pod=f"default/{OLD}", uid="u1"),
    event(1, "store", "endpoint-ready", pod=f"default/{OTHER}", uid="u0"),
    event(T0_S - 0.1, "trial", reschedule.VICTIM, pod=OLD, uid="u1", ip="10.244.1.2", node="n1"),
    event(T0_S, "fault", "delete"),
    event(T0_S + 0.5, "store", "endpoint-ready", pod=f"default/{OTHER}", uid="u0"),
    event(BACK_S, "store", "endpoint-ready", pod=f"default/{NEW}", uid="u3"),
    event(END_S, "lab", "trial-end"),
]


def answer(at_s: float, stream: str, backend: str, connection: int = 1) -> dict[str, Any]:
    """Due and answered at the same time; without a backend it was lost."""
    t_ns = int(at_s * SECOND_NS)
    return {"stream": stream, "client": "c", "connection": connection, "picked_backend": OLD,
            "backend": backend or None, "outcome": "ok" if backend else "timeout",
            "scheduled_ns": t_ns, "end_ns": t_ns}  # fmt: skip


def run_of(tmp_path: Path, *rows: dict[str, Any], address: str = "new", copies: int = 1) -> Run:
    names = [f"t{number}" for number in range(copies)]
    trials = pd.DataFrame(
        [{"trial": name, "block": name, "address": address, "valid": True} for name in names]
    )
    return load_run(
        write_run(
            tmp_path / "run",
            meta_of("reschedule", {"address": [address]}),
            trials,
            pd.DataFrame([{**row, "trial": name} for name in names for row in rows]),
            events=[{**one, "trial": name} for name in names for one in EVENTS],
        )
    )


ALWAYS = answer(9, "outage", OTHER)
FATES = [
    ("one that is answered after the successor came", [(9, OLD), (13, NEW)], (True, 4000.0, True)),
    ("by whom makes no difference to that", [(9, OLD), (13, OTHER)], (True, 4000.0, False)),
    ("one that was last answered before", [(9, OLD), (11, OTHER)], (False, 2000.0, False)),
    ("the gap begins with the pod's last answer", [(9, OLD), (10.5, OLD), (12.5, NEW)],
     (True, 2000.0, True)),
]  # fmt: skip


@pytest.mark.parametrize(("_", "told", "fate"), FATES, ids=[row[0] for row in FATES])
def test_fates(
    tmp_path: Path, _: str, told: list[tuple[float, str]], fate: tuple[bool, float, bool]
) -> None:
    run = run_of(tmp_path, ALWAYS, *(answer(at, "udp", backend) for at, backend in told))
    (row,) = reschedule.fates(run).to_dict("records")
    assert (row["survived"], row["gap_ms"], row["by_successor"]) == fate
    assert row["kind"] == "udp"


def test_connections_to_other_pods_are_not_asked_about(tmp_path: Path) -> None:
    run = run_of(tmp_path, ALWAYS, answer(9, "kept", OTHER), answer(13, "kept", OTHER))
    assert reschedule.fates(run).empty


def test_who_dials_the_pod_itself_waits_for_its_successor(tmp_path: Path) -> None:
    direct = [answer(9.5, "direct", OLD), answer(11, "direct", ""), answer(12.5, "direct", NEW)]
    (row,) = reschedule.metrics(run_of(tmp_path, ALWAYS, *direct)).to_dict("records")
    assert (row["direct_back"], row["direct_gap_ms"]) == (1.0, 3000.0)
    assert (row["failed_direct"], row["back_ms"], row["back_censored"]) == (1, 2000.0, False)


@pytest.mark.parametrize(("address", "verdict"), [("new", "holds"), ("kept", "does not hold")])
def test_a_new_address_is_claimed_never_to_answer_again(
    tmp_path: Path, address: str, verdict: str
) -> None:
    rows = [ALWAYS, answer(9, "udp", OLD), answer(13, "udp", NEW), answer(9, "kept", OLD)]
    rows += [answer(9.5, "direct", OLD), answer(12.5, "direct", "")]
    run = run_of(tmp_path, *rows, address=address, copies=6)
    found = {one.name: one for one in reschedule.findings(run, "h", 0.05)}
    assert found["no-tcp-survives"].verdict == found["udp-goes-on"].verdict == "holds"
    assert found["address-answers-again"].verdict == verdict
    assert "100% of 6 UDP sockets" in found["udp-goes-on"].answer


def test_a_successor_that_never_came_decides_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, ALWAYS, answer(9, "kept", OLD), copies=6)
    before = run.events[run.events["t_ns"] != BACK_S * SECOND_NS]
    waited = type(run)(run.directory, run.meta, run.trials, run.samples, run.ledger, before)
    assert reschedule.metrics(waited)["back_censored"].all()
    assert {one.verdict for one in reschedule.findings(waited, "h", 0.05)} == {"undecided"}
