"""The generator with a name server, and one server in many pods, in real namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

SCENARIO = Path(__file__).with_name("traffic_scenario.py")
SANDBOX = ("unshare", "-Urnmpf", "--mount-proc", "--kill-child")
PODS = 20


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the scenario printed."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [*SANDBOX, sys.executable, str(SCENARIO), folder, str(PODS)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("name", ["short", "full"])
def test_every_connection_resolves_the_name(found: dict[str, Any], name: str) -> None:
    assert len(found[name]) == 10
    for row in found[name]:
        assert (row["outcome"], row["backend"], row["target"]) == ("ok", "web-0", "127.0.0.2:80")
        assert row["start_ns"] <= row["resolved_ns"] <= row["end_ns"]


def test_a_name_can_be_resolved_once(found: dict[str, Any]) -> None:
    rows = sorted(found["once"], key=lambda row: row["start_ns"])
    assert {row["outcome"] for row in rows} == {"ok"}
    known_ns = min(row["resolved_ns"] for row in rows if row["resolved_ns"] is not None)
    for row in rows:
        assert (row["resolved_ns"] is None) == (row["start_ns"] > known_ns)


@pytest.mark.parametrize(
    "name",
    [
        "unknown",  # NXDOMAIN for every name of the search list
        "nobody",  # an ICMP error is not waited for: a look-up that waits is censored here
        "silent",  # the request's timeout, 50 ms; else it would be censored, too
    ],
)
def test_a_name_without_an_address_is_a_dns_error(found: dict[str, Any], name: str) -> None:
    rows = found[name]
    assert len(rows) == 10
    for row in rows:
        assert (row["outcome"], row["target"], row["resolved_ns"]) == ("dns_error", None, None)


def test_one_server_is_many_pods(found: dict[str, Any]) -> None:
    assert found["shared"] == [f"web-{index}" for index in range(PODS)]
