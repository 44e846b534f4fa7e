"""The recorder in real namespaces: as root, and as a user who has a sandbox only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

SCENARIO = Path(__file__).with_name("recorder_scenario.py")
SANDBOX = ("unshare", "-Urnmpf", "--mount-proc", "--kill-child")
AS_USER = ("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups")
CONNECTIONS = 200


@pytest.fixture(scope="module", params=[(), AS_USER], ids=["as-whom-tests-run", "as-user-1000"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the scenario printed."""
    if request.param and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        if request.param:
            os.chown(folder, 1000, 1000)
        argv = [*request.param, *SANDBOX, sys.executable, str(SCENARIO), folder, str(CONNECTIONS)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_every_new_connection_is_recorded_with_the_kernels_pick(found: dict[str, Any]) -> None:
    rows = [row for row in found["rows"] if row["dst_ip"] == "10.96.0.1"]
    assert [row["src_port"] for row in rows] == found["ports"]
    assert {
        (
            row["node"],
            row["event"],
            row["protocol"],
            row["src_ip"],
            row["dst_port"],
            row["reply_src_ip"],
            row["reply_src_port"],
            row["reply_dst_ip"],
        )
        for row in rows
    } == {("n1", "new", 6, "10.0.0.1", 80, "10.0.0.2", 8080, "10.0.0.1")}
    assert all(row["reply_dst_port"] == row["src_port"] for row in rows)


def test_entries_come_in_order_and_none_is_missing(found: dict[str, Any]) -> None:
    times = [row["t_ns"] for row in found["rows"]]
    assert times == sorted(times)
    assert found["ready"] == {"ready": True}
    assert found["flushed"] == {"flushed": 7, "records": len(found["rows"]), "lost": 0}


def test_a_node_without_rules_has_no_entries(found: dict[str, Any]) -> None:
    assert found["before_rules"] not in [row["src_port"] for row in found["rows"]]
    assert all(row["node"] == "n1" for row in found["rows"])


def test_ends_of_connections_are_recorded_where_asked_for(found: dict[str, Any]) -> None:
    assert found["destroyed"]["flushed"] == 8
    assert found["events"] == {"new": CONNECTIONS, "destroy": CONNECTIONS}


def test_counters_come_from_every_node(found: dict[str, Any]) -> None:
    none = {"insert_failed": 0, "drop": 0, "early_drop": 0}
    assert found["counters"] == {"counters": 9, "nodes": {"n0": none, "n1": none}}


def test_it_ends_at_sigterm(found: dict[str, Any]) -> None:
    assert found["code"] == 0
