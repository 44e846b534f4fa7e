"""The flat network: every pod reaches every pod and node under its own address; hosts reach nodes only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name
from tests.lab.outer import TESTBED

pytestmark = pytest.mark.lab

MTU = 1400
TOPOLOGY = {
    "name": "network",
    "nodes": {"n1": {}, "n2": {}, "n3": {}},
    "hosts": {"outside": {}},
    "dns": {"replicas": 0},
    "network": {"mtu": MTU},
    "workloads": {"web": {"replicas": 4, "port": 8080}},
}
PODS = [f"web-{index}" for index in range(4)]
NODES = ["n1", "n2", "n3"]
IP_UDP_HEADERS = 28

ASK_EACH = """
import json, sys, urllib.request
ask = lambda ip: urllib.request.urlopen(f"http://{ip}:8080/clientip", timeout=60).read().decode()
print(json.dumps([ask(ip).rsplit(":", 1)[0] for ip in sys.argv[1:]]))
"""
PING_EACH = """
import asyncio, sys
from ipaddress import IPv4Address
from testbed.kernel import netns
from testbed.kernel.ping import ping
targets = [IPv4Address(ip) for ip in sys.argv[1:]]
print(sorted(map(str, asyncio.run(ping(netns.current(), targets, 60.0)))))
"""
ANSWER_ONCE = """
import socket
with socket.create_server(("", 9000)) as server:
    print("listening", flush=True)
    connection, (source, _) = server.accept()
    connection.sendall(source.encode())
"""
ASK_NODE = """
import socket, sys
print(socket.create_connection((sys.argv[1], 9000), 60).recv(64).decode())
"""
SEND_WHOLE = """
import socket, sys
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(60)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    message = "echo ".ljust(int(sys.argv[2]), "x")
    try:
        sock.connect((sys.argv[1], 8080))
        sock.send(message.encode())
        print(len(sock.recv(65536)))
    except OSError as error:
        print(error.strerror)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def python(lab: Lab, where: str, program: str, *arguments: str) -> str:
    """What a Python program prints in a place of the lab."""
    done = lab.exec(where, [sys.executable, "-c", program, *arguments], timeout_s=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pods(lab: Lab) -> dict[str, str]:
    return {pod["name"]: pod["ip"] for pod in lab.inspect()["pods"]}


def nodes(lab: Lab) -> dict[str, str]:
    return {node["name"]: node["addresses"][0] for node in lab.inspect()["nodes"]}


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_seen_by_every_pod_under_its_own_address(lab: Lab, pod: str) -> None:
    ips = pods(lab)
    assert json.loads(python(lab, pod, ASK_EACH, *ips.values())) == [ips[pod]] * len(PODS)


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_seen_by_every_pod_as_itself(lab: Lab, node: str) -> None:
    answers = json.loads(python(lab, node, ASK_EACH, *pods(lab).values()))
    assert answers == [nodes(lab)[node]] * len(PODS)


@pytest.mark.parametrize("where", [*PODS, "outside"])
def test_every_node_answers_a_packet(lab: Lab, where: str) -> None:
    assert python(lab, where, PING_EACH, *nodes(lab).values()) == "[]"


@pytest.mark.parametrize("node", NODES)
def test_a_node_sees_a_pod_under_its_own_address(lab: Lab, node: str) -> None:
    argv = [*TESTBED, "exec", lab.name, node, "--", sys.executable, "-c", ANSWER_ONCE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        assert python(lab, "web-0", ASK_NODE, nodes(lab)[node]) == pods(lab)["web-0"]


@pytest.mark.parametrize(("size", "answer"), [(MTU, str(MTU - 33)), (MTU + 1, "Message too long")])
def test_packets_are_as_large_as_the_mtu_says(lab: Lab, size: int, answer: str) -> None:
    rows: list[dict[str, Any]] = lab.inspect()["pods"]
    first = next(row for row in rows if row["name"] == "web-0")
    elsewhere = next(row for row in rows if row["node"] != first["node"])
    payload = str(size - IP_UDP_HEADERS)
    assert python(lab, "web-0", SEND_WHOLE, elsewhere["ip"], payload) == answer


def test_a_host_outside_has_no_route_to_pods(lab: Lab) -> None:
    (ip, *_) = pods(lab).values()
    assert python(lab, "outside", SEND_WHOLE, ip, "100") == "Network is unreachable"


def test_a_packet_for_a_pod_that_is_not_there_ends_at_its_node(lab: Lab) -> None:
    """Without a route of its own it would leave by the default route."""
    node = lab.inspect()["nodes"][0]
    unused = str(IPv4Network(node["podCIDR"])[-2])
    done = lab.exec(node["name"], ["ip", "route", "get", unused])
    assert done.returncode != 0
    assert "Invalid argument" in done.stderr  # what a blackhole route answers to its own node
