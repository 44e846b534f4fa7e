"""Mode external: somebody else's proxy on every node, fed by the lab's API server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import TestbedError
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "dnat-proxy.py"
PATIENCE_S = 120.0
CLOSE = "Connection: close"
"""A connection for each request."""


def topology(*command: str, **external: Any) -> dict[str, Any]:
    return {
        "name": "external",
        "nodes": {"n1": {}, "n2": {}},
        "dns": {"replicas": 0},
        "proxy": {"mode": "external", "external": {"command": list(command), **external}},
        "workloads": {"web": {"replicas": 2}, "caller": {"node": "n1"}},
        "services": {"web": {"port": 80, "targetPort": 8080}},
    }


def example(folder: Path) -> dict[str, Any]:
    """The topology of docs/examples, with a copy of the program that everybody may read."""
    program = folder / "dnat-proxy.py"
    program.write_bytes(EXAMPLE.read_bytes())
    program.chmod(0o644)
    ready = {"exec": ["nft", "list", "table", "ip", "dnat-proxy"]}
    command = ("python3", str(program), "{api}", "{cluster_cidr}")
    return topology(*command, ready=ready)


@pytest.fixture
def lab(shared_folder: Path) -> Iterator[Lab]:
    made = Topology.model_validate(example(shared_folder))
    with Lab.up(made, name=unique_name()) as running:
        yield running


def who(lab: Lab, times: int = 20) -> set[str]:
    ip = lab.inspect()["services"][0]["clusterIP"]
    url = f"http://{ip}/hostname?"
    urls = [f"{url}{index}" for index in range(times)]
    command = ["curl", "-s", "--connect-timeout", "2", "-m", "20", "-H", CLOSE, *urls]
    found = lab.exec("caller-0", command).stdout
    return {found[at : at + 5] for at in range(0, len(found), 5)}


def test_an_external_proxy_follows_its_lab(lab: Lab) -> None:
    assert lab.inspect()["proxy"] == "external"
    assert who(lab) == {"web-0", "web-1"}
    assert "dnat-proxy" in lab.rules("n2")
    lab.fault("delete", "web-1")
    deadline = time.monotonic() + PATIENCE_S
    while who(lab) != {"web-0", "web-2"}:  # nobody but the proxy knows when its rules are in force
        assert time.monotonic() < deadline


def test_an_external_proxy_that_is_killed_is_started_again(lab: Lab) -> None:
    fault = lab.fault("restart-proxy", "n1")
    lab.wait_event(
        lambda event: (
            event.kind == "external-started" and event.node == "n1" and event.t_ns > fault.t_ns
        ),
        PATIENCE_S,
    )


@ONCE
def test_an_ordinary_user_runs_one_too(user: User, name: str) -> None:
    file = user.file("external.yaml", json.dumps(example(user.folder)))
    done = user.testbed("up", file, "--name", name)
    try:
        assert done.returncode == 0, done.stderr
        rules = user.testbed("rules", name, "n1").stdout
        address = rules.partition("ip daddr ")[2].split()[0]
        asked = user.testbed("exec", name, "n2", "--", "curl", "-s", f"http://{address}/hostname")
        assert asked.stdout in {"web-0", "web-1"}
    finally:
        user.testbed("down", name)


@pytest.mark.parametrize(
    ("command", "more", "says"),
    [
        (("no-such-proxy",), {}, "no-such-proxy: no such command"),
        (
            (sys.executable, "-c", "raise SystemExit('no rules today')"),
            {"restartPolicy": "Never", "ready": {"exec": ["false"]}},
            "code 1, and last said: no rules today",
        ),
    ],
)
def test_a_proxy_that_cannot_run_says_why(
    command: tuple[str, ...], more: dict[str, Any], says: str
) -> None:
    made = Topology.model_validate(topology(*command, **more))
    with pytest.raises(TestbedError, match=says), Lab.up(made, name=unique_name()):
        pass


def test_a_readiness_url_is_asked_on_the_node() -> None:
    serve = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "10256")
    made = topology(*serve, ready={"http": "http://127.0.0.1:10256/"})
    with Lab.up(Topology.model_validate(made), name=unique_name()) as running:
        found = running.exec("n1", ["curl", "-s", "http://127.0.0.1:8001/version"]).stdout
        assert json.loads(found)["minor"] == "36"
