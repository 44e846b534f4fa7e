"""Pod networks as they change: nodes that come and go, addresses that run out, packets of every length, and
who is seen outside.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from testbed.events import Event
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.awaited import awaited
from tests.lab.conftest import User, unique_name
from tests.lab.outer import TESTBED
from tests.lab.test_network import ANSWER_ONCE, ASK_NODE, SEND_WHOLE, nodes, pods, python

pytestmark = pytest.mark.lab

PATIENCE_S = 120.0
IP_UDP_HEADERS = 28
ANSWER = len("web-0") + IP_UDP_HEADERS
NETWORKS = {
    # Bytes of a pod's packet, whether nodes hide pods from each other and from what is outside.
    "host-gw": (1500, False),
    "vxlan": (1450, True),
    "weave": (1450, True),
}


def topology(cni: str, count: int = 2, **network: Any) -> Topology:
    """`web` has a pod on each node; a UDP service of its own."""
    return Topology.model_validate(
        {
            "name": "networks",
            "network": {"cni": cni, **network},
            "nodes": {f"n{number}": {} for number in range(1, count + 1)},
            "hosts": {"outside": {}},
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "100ms"},
            "workloads": {"web": {"replicas": count, "terminationGracePeriodSeconds": 1}},
            "services": {
                "web": {
                    "ports": [
                        {"name": "http", "port": 80, "targetPort": 8080},
                        {"name": "echo", "port": 80, "targetPort": 8080, "protocol": "UDP"},
                    ]
                }
            },
        }
    )


@pytest.fixture(scope="module", params=NETWORKS)
def cni(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lab(cni: str) -> Iterator[Lab]:
    with Lab.up(topology(cni), name=unique_name(), ephemeral=True) as running:
        yield running


def whole(lab: Lab, where: str, to: str, size: int, port: int = 8080) -> str:
    """How much of a packet of `size` bytes that may not be cut comes back, or why it does not leave."""
    program = SEND_WHOLE.replace("8080", str(port))
    return python(lab, where, program, to, str(size - IP_UDP_HEADERS))


def test_packets_are_as_long_as_the_network_lets_them(lab: Lab, cni: str) -> None:
    mtu, _ = NETWORKS[cni]
    service = lab.inspect()["services"][0]["clusterIP"]
    ips = pods(lab)
    for where, other in (("web-0", "web-1"), ("web-1", "web-0")):
        answer = str(mtu - ANSWER)
        assert whole(lab, where, ips[other], mtu) == answer
        assert whole(lab, where, ips[other], mtu + 1) == "Message too long"
        # Each of its own ports may lead to either pod; the answer is as long as the question.
        assert {whole(lab, where, service, mtu, 80) for _ in range(6)} == {answer}


def seen_by(lab: Lab, server: str, address: str, client: str) -> str:
    """The address that a server on a machine sees of a client."""
    argv = [*TESTBED, "exec", lab.name, server, "--", sys.executable, "-c", ANSWER_ONCE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        try:
            return python(lab, client, ASK_NODE, address)
        finally:
            process.kill()


def test_what_is_outside_sees_a_pod_or_its_node(lab: Lab, cni: str) -> None:
    _, hides = NETWORKS[cni]
    own, machines = pods(lab), nodes(lab)
    view = lab.inspect()["pods"]
    home = {pod["name"]: pod["node"] for pod in view}
    beside = {node: ip for node, ip in machines.items() if node != home["web-0"]}
    ((other, address),) = beside.items()
    expected = machines[home["web-0"]] if hides else own["web-0"]
    assert seen_by(lab, other, address, "web-0") == expected
    here = home["web-0"]
    assert seen_by(lab, here, machines[here], "web-0") == own["web-0"]
    outside = lab.exec("outside", ["hostname", "-I"]).stdout.split()[0]
    if hides:
        assert seen_by(lab, "outside", outside, "web-0") == expected
    else:  # nobody outside has a route to a pod
        assert lab.exec("web-0", ["ping", "-c1", "-W1", outside]).returncode == 1


def is_told(event: Event, node: str, since_ns: int) -> bool:
    return (
        (event.source, event.kind, event.node) == ("podnet", "synced", node)
        and event.t_ns > since_ns
        and event.detail["members"] == 2
    )


def known(lab: Lab, node: str) -> str:
    """What a node has been told of the others: its routes and tunnels. What a switch has learned it forgets
    in its own time.
    """
    return lab.exec(node, ["sh", "-c", "ip route; bridge fdb show | grep permanent"]).stdout


def test_nodes_come_and_go_and_the_others_know(lab: Lab, cni: str) -> None:
    lab.change(topology(cni, 3))
    third = nodes(lab)["n3"]
    ips = pods(lab)
    assert len(ips) == 3
    for where in ips:
        for ip in ips.values():
            done = lab.exec(where, ["curl", "-s", "-m", "60", f"http://{ip}:8080/clientip"], 120)
            assert done.stdout.rpartition(":")[0] == ips[where]
    assert all(third in known(lab, node) for node in ("n1", "n2"))
    stopped = lab.fault("stop-node", "n3")
    # As long as its Node object is there, a node belongs to the network.
    assert all(third in known(lab, node) for node in ("n1", "n2"))
    lab.heal("n3")
    lab.change(topology(cni, 2))
    for node in ("n1", "n2"):
        lab.wait_event(partial(is_told, node=node, since_ns=stopped.t_ns), PATIENCE_S)
        assert third not in known(lab, node)


def test_a_node_that_is_cut_off_hears_of_the_others_when_it_is_back() -> None:
    with Lab.up(topology("vxlan", 3), name=unique_name(), ephemeral=True) as lab:
        third = nodes(lab)["n3"]
        cut = lab.fault("cut", "n1")
        argv = [*TESTBED, "kubectl", lab.name, "--", "delete", "node", "n3"]
        assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
        lab.wait_event(partial(is_told, node="n2", since_ns=cut.t_ns), PATIENCE_S)
        assert third not in known(lab, "n2")
        assert third in known(lab, "n1")
        lab.heal("n1")
        lab.wait_event(partial(is_told, node="n1", since_ns=cut.t_ns), PATIENCE_S)
        assert third not in known(lab, "n1")


def test_a_pod_without_an_address_waits_for_one(cni: str) -> None:
    small = {"podCIDR": "10.244.0.0/28"}
    full = topology(cni, 1, **small).model_copy(update={"hosts": {}})

    def of(replicas: int) -> Topology:
        workloads = {"web": full.workloads["web"].model_copy(update={"replicas": replicas})}
        return full.model_copy(update={"workloads": workloads})

    with Lab.up(of(13), name=unique_name(), ephemeral=True) as lab:
        made = subprocess.run(
            [*TESTBED, "kubectl", lab.name, "--", "run", "late", "--image=testbed/echo"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr

        def late() -> dict[str, Any]:
            (row,) = (row for row in lab.inspect()["pods"] if row["name"] == "late")
            return dict(row)

        def shown(*what: str) -> str:
            argv = [*TESTBED, "kubectl", lab.name, "--", "get", *what]
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

        awaited(late, lambda row: row["reason"] == "FailedCreatePodSandBox")
        assert late()["phase"] == "Pending"
        assert "ContainerCreating" in shown("pod", "late")
        wanted = (
            "Failed to create pod sandbox: no IP addresses available in range set: "
            "10.244.0.2-10.244.0.14: all 13 pod addresses of 10.244.0.0/28 are in use"
        )
        awaited(lambda: shown("events"), lambda said: wanted in said)
        lab.change(of(12))
        awaited(late, lambda row: row["ready"])
        assert late()["ip"] in {f"10.244.0.{last}" for last in range(2, 15)}


@pytest.mark.parametrize("network", ["vxlan", "weave"])
def test_shipped_topologies_come_up_for_every_user(user: User, name: str, network: str) -> None:
    done = user.testbed("up", f"topologies/{network}.yaml", "--name", name)
    try:
        assert done.returncode == 0, done.stderr
        asked = user.testbed("exec", name, "client-0", "--", "curl", "-s", "-m", "60", "http://web")
        assert '"pod": "web-' in asked.stdout, asked
    finally:
        user.testbed("down", name)
