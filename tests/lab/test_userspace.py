"""The userspace mode in a lab: who is reached, what outlives the process, what is known of its picks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.proxy.userspace_picks import picks
from testbed.traffic.conntrack import read_entries
from testbed.traffic.proxy_picks import with_picks
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

NODE_PORT = 30080
TOPOLOGY: dict[str, Any] = {
    "name": "userspace",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"client": {}},
    "dns": {"replicas": 0},
    "proxy": {"mode": "userspace", "minSyncPeriod": "0s"},
    "workloads": {"web": {"replicas": 3}, "caller": {"node": "n1"}},
    "services": {"web": {"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}},
}
PATIENCE_S = 120.0
CLOSE = "Connection: close"
"""A connection for each request."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def cluster_ip(lab: Lab) -> str:
    return str(lab.inspect()["services"][0]["clusterIP"])


def node_ip(lab: Lab, node: str) -> str:
    return str(next(one for one in lab.inspect()["nodes"] if one["name"] == node)["addresses"][0])


def asked(lab: Lab, where: str, host: str, port: int, times: int = 3) -> list[dict[str, Any]]:
    """What each of some requests is answered."""
    command = ["curl", "-s", "-m", "60", "-H", CLOSE, *[f"http://{host}:{port}/"] * times]
    return [json.loads(line) for line in lab.exec(where, command).stdout.splitlines()]


@pytest.mark.parametrize(
    ("where", "host", "port", "seen_from"),
    [
        ("caller-0", "", 80, "n1"),
        ("n1", "", 80, "n1"),
        ("client", "n2", NODE_PORT, "n2"),
        ("caller-0", "n2", NODE_PORT, "n2"),
        ("n1", "127.0.0.1", NODE_PORT, "n1"),
    ],
)
def test_everybody_reaches_all_pods_in_turn_and_they_see_the_node(
    lab: Lab, where: str, host: str, port: int, seen_from: str
) -> None:
    known = {"": cluster_ip(lab), "n2": node_ip(lab, "n2")}
    answers = asked(lab, where, known.get(host, host), port)
    assert {answer["pod"] for answer in answers} == {"web-0", "web-1", "web-2"}
    seen = {answer["client"].rpartition(":")[0] for answer in answers}
    assert seen == {node_ip(lab, seen_from)}


def test_the_kernels_entries_are_completed_by_what_every_process_picked(lab: Lab) -> None:
    url = f"http://{cluster_ip(lab)}/hostname"
    spec = LoadSpec(source="caller-0", url=url, rate_rps=50, duration_s=0.5, drain_s=60)
    lab.start_recording()
    lab.load(spec)
    restarted(lab, "n1")
    lab.load(spec)
    recording = lab.stop_recording()
    noted = {node: picks(path.read_bytes()) for node, path in recording.picks}
    entries = with_picks(read_entries(recording.entries), noted)
    ours = entries[(entries["dst_ip"] == cluster_ip(lab)) & (entries["event"] == "new")]
    pods = {pod["ip"] for pod in lab.inspect()["pods"] if pod["name"].startswith("web-")}
    assert len(ours) == len(noted["n1"]) > 20
    assert set(ours["reply_src_ip"]) == pods
    assert set(ours["reply_dst_ip"]) == {node_ip(lab, "n1")}


def test_a_process_that_is_killed_comes_back_with_its_table(lab: Lab) -> None:
    before = lab.rules("n1")
    listener = before.partition("--listen tcp ")[2].split()[0].rpartition(":")[2]
    found = lab.exec("n1", ["ss", "-Hltnp", f"sport = :{listener}"]).stdout
    since_ns = lab.now_ns()
    lab.exec("n1", ["kill", "-KILL", found.partition("pid=")[2].partition(",")[0]])
    ended = lab.wait_event(
        lambda event: event.kind == "process-ended" and event.t_ns > since_ns, PATIENCE_S
    )
    assert (ended.node, ended.detail["code"]) == ("n1", 137)
    lab.wait_event(
        lambda event: event.kind == "sync" and event.node == "n1" and event.t_ns > ended.t_ns,
        PATIENCE_S,
    )
    assert table(lab.rules("n1")) == table(before)
    assert len(asked(lab, "caller-0", cluster_ip(lab), 80)) == 3


def table(rules: str) -> str:
    return rules.partition("COMMIT")[0]


def test_a_restarted_proxy_is_a_new_process_with_the_same_table(lab: Lab) -> None:
    before = lab.rules("n2")
    restarted(lab, "n2")
    assert table(lab.rules("n2")) == table(before)


def restarted(lab: Lab, node: str) -> None:
    fault = lab.fault("restart-proxy", node)
    lab.wait_event(
        lambda event: event.kind == "sync" and event.node == node and event.t_ns > fault.t_ns,
        PATIENCE_S,
    )


@ONCE
def test_an_ordinary_users_lab_does_the_same(user: User, name: str) -> None:
    text = json.dumps(TOPOLOGY)
    done = user.testbed("up", user.file("userspace.yaml", text), "--name", name)
    try:
        assert done.returncode == 0, done.stderr
        rules = user.testbed("rules", name, "n1").stdout
        address = rules.partition("-d ")[2].partition("/32")[0]
        url = f"http://{address}/hostname"
        found = user.testbed(
            "exec", name, "caller-0", "--", "curl", "-s", "-H", CLOSE, *[url] * 3
        ).stdout
        assert {found[at : at + 5] for at in (0, 5, 10)} == {"web-0", "web-1", "web-2"}
    finally:
        user.testbed("down", name)
