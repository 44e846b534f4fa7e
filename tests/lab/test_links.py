"""A lab over switches and routers, from the command line: services across racks, places between, changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.conftest import ONCE, User, unique_name

pytestmark = [pytest.mark.lab, ONCE]

LINKS = [
    *("n1 rack1", "rack1 tor1", "n2 tor2", "client spine1"),
    *("tor1 spine1", "tor1 spine2", "tor2 spine1", "tor2 spine2"),
]


def topology(nodes: list[str], links: list[str], **more: Any) -> str:
    """JSON, which is YAML."""
    return json.dumps(
        {
            "name": "racks",
            "network": {"cni": "vxlan", "controlPlane": "spine1"},
            "nodes": {node: {} for node in nodes},
            "hosts": {"client": {}},
            "routers": {"tor1": {}, "tor2": {}, "spine1": {}, "spine2": {}},
            "links": [{"endpoints": link.split()} for link in links],
            "dns": {"replicas": 0},
            "workloads": {"web": {"replicas": 2, "port": 8080}},
            "services": {"web": {"port": 80, "targetPort": 8080, "nodePort": 30080}},
            **more,
        }
    )


@pytest.fixture(scope="module")
def racks(user: User) -> Iterator[str]:
    name = unique_name()
    done = user.testbed(
        "up", user.file("racks.yaml", topology(["n1", "n2"], LINKS)), "--name", name
    )
    assert done.returncode == 0, done.stderr
    yield name
    user.testbed("down", name)


def said(user: User, *arguments: str) -> str:
    done = user.testbed(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def nodes_of(user: User, lab: str) -> dict[str, str]:
    view = json.loads(said(user, "inspect", lab, "-o", "json"))
    return {row["name"]: row["addresses"][0] for row in view["nodes"]}


def test_services_answer_over_both_racks(user: User, racks: str) -> None:
    for node in nodes_of(user, racks).values():
        ask = f"for i in 1 2 3 4 5 6 7 8; do curl -s -m 20 http://{node}:30080/hostname; echo; done"
        answers = set(said(user, "exec", racks, "client", "--", "sh", "-c", ask).split())
        assert answers <= {"web-0", "web-1"}
        assert answers


def test_the_api_server_answers_nodes_and_pods_from_wherever_it_is(user: User, racks: str) -> None:
    assert "n2" in said(user, "kubectl", racks, "--", "get", "nodes", "-o", "name")
    for where in ("n2", "web-0", "web-1"):
        # It came into being with the first who asked: rules may follow a second later.
        patience = ["--retry", "30", "--retry-delay", "1", "--retry-all-errors"]
        asked = ["curl", "-sk", "-m", "60", *patience, "https://10.96.0.1/healthz"]
        assert said(user, "exec", racks, where, "--", *asked) == "ok"


def test_commands_run_on_routers_and_switches(user: User, racks: str) -> None:
    routes = said(user, "exec", racks, "tor1", "--", "ip", "route")
    assert routes.count("nexthop via") == 2, "equal ways over both spines"
    assert "to-n1" in said(user, "exec", racks, "rack1", "--", "ip", "-br", "link")


@pytest.mark.parametrize("where", ["tor1", "rack1"])
def test_frames_are_captured_on_routers_and_switches(user: User, racks: str, where: str) -> None:
    target = nodes_of(user, racks)["n1"]
    with (
        user.start("exec", racks, "client", "--", "ping", "-i", "0.2", target) as pings,
        user.start("capture", racks, where, "icmp", "--count", "1") as capture,
    ):
        frames, trouble = capture.communicate(timeout=120)
        pings.terminate()
        pings.communicate(timeout=120)
    assert target in frames, trouble


def test_a_trace_does_not_begin_at_a_router(user: User, racks: str) -> None:
    done = user.testbed("trace", racks, "tor1", "web")
    assert (done.returncode, "tor1 is a router" in done.stderr) == (2, True)


def test_machines_and_links_are_added_while_the_lab_runs(user: User, racks: str) -> None:
    before = nodes_of(user, racks)
    more = topology(["n1", "n2", "n3"], [*LINKS, "n3 rack1", "n2 tor1"])
    said(user, "up", user.file("more.yaml", more), "--name", racks)
    after = nodes_of(user, racks)
    assert before.items() <= after.items()
    addresses = said(user, "exec", racks, "n2", "--", "ip", "-4", "-br", "addr")
    assert "eth1" in addresses
    said(user, "exec", racks, "n3", "--", "ping", "-c", "1", "-W", "20", after["n2"])
    # n3 goes, and so does the first link of n2: by the address of the second one it is another node.
    fewer = [link for link in LINKS if link != "n2 tor2"] + ["n2 tor1"]
    said(user, "up", user.file("fewer.yaml", topology(["n1", "n2"], fewer)), "--name", racks)
    last = nodes_of(user, racks)
    assert last.keys() == {"n1", "n2"}
    assert last["n2"] != before["n2"]
    curl = ["curl", "-s", "-m", "20", f"http://{last['n2']}:30080/hostname"]
    assert said(user, "exec", racks, "client", "--", *curl).startswith("web-")


def test_the_control_plane_does_not_move(user: User, racks: str) -> None:
    text = topology(["n1", "n2"], LINKS, network={"cni": "vxlan", "controlPlane": "tor2"})
    done = user.testbed("up", user.file("moved.yaml", text), "--name", racks)
    assert done.returncode == 2
    assert "cannot change while the lab runs" in done.stderr


def test_a_lab_without_links_gets_some(user: User) -> None:
    """Its nodes keep their addresses; networks are narrower, and the kernel forgets routes by the old ones."""
    lab, switched = unique_name(), [f"{name} switch" for name in ("n1", "n2", "n3", "client")]
    network = {
        "podCIDR": "10.244.0.0/16,fd00:10:244::/56",
        "serviceCIDR": "10.96.0.0/16,fd00:10:96::/112",
    }
    names = ["n1", "n2", "n3"]
    said(
        user,
        "up",
        user.file("one.yaml", topology(names, [], network=network, routers={})),
        "--name",
        lab,
    )
    before = nodes_of(user, lab)
    more = topology(names, [*switched, "n1 client"], network=network, routers={})
    try:
        said(
            user, "up", user.file("linked.yaml", more), "--name", lab
        )  # every pod answers a packet
        assert nodes_of(user, lab) == before
    finally:
        user.testbed("down", lab)
