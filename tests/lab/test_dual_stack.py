"""IPv6 alone and beside IPv4: every pod, node and service under its address in each family."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from testbed.ip import family_of, host_port
from testbed.lab.client import Lab
from testbed.lab.trace_request import trace
from testbed.model.topology import Topology
from testbed.traffic import handshakes
from testbed.traffic.accept_log import read_accept_log
from testbed.traffic.conntrack import read_entries
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

NETWORKS = {"6": "fd00:10:244::/56", "4,6": "10.244.0.0/16,fd00:10:244::/56"}
"""podCIDR by IP families."""
PODS = ("web-0", "web-1", "web-2", "client-0")
WEB = {"web-0", "web-1", "web-2"}
NODES = ("n1", "n2", "n3")

ASK_EACH = """
import json, sys, urllib.request
ask = lambda host: urllib.request.urlopen(f"http://{host}/clientip", timeout=300).read().decode()
print(json.dumps([ask(host).rsplit(":", 1)[0].strip("[]") for host in sys.argv[1:]]))
"""
PING_EACH = """
import asyncio, sys
from ipaddress import ip_address
from testbed.kernel import netns
from testbed.kernel.ping import ping
targets = [ip_address(ip) for ip in sys.argv[1:]]
print(sorted(map(str, asyncio.run(ping(netns.current(), targets, 300.0)))))
"""


def topology(families: str) -> dict[str, Any]:
    service = {"port": 80, "targetPort": 8080, "selector": {"app": "web"}}
    own = {"ipFamilies": [f"IPv{family}" for family in families.split(",")]}
    return {
        "name": "families",
        "network": {"podCIDR": NETWORKS[families]},
        "nodes": {node: {} for node in NODES},
        "hosts": {"outside": {}},
        "workloads": {
            "web": {"replicas": 3, "readinessProbe": {"periodSeconds": 1}},
            "client": {"node": "n3"},
        },
        "services": {
            "web": service | own | {"nodePort": 30080},
            "six": service | {"ipFamilies": ["IPv6"]},
            "plain": service,
            "pets": service | own | {"clusterIP": "None"},
        },
    }


@pytest.fixture(scope="module", params=NETWORKS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    wanted = Topology.model_validate(topology(request.param))
    with Lab.up(wanted, name=unique_name()) as running:
        yield running


def python(lab: Lab, where: str, program: str, *arguments: str) -> Any:
    """What a Python program prints in a place of the lab."""
    done = lab.exec(where, [sys.executable, "-c", program, *arguments], timeout_s=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def families(lab: Lab) -> list[int]:
    return [family_of(part) for part in lab.topology()["network"]["podCIDR"].split(",")]


def pods(lab: Lab) -> dict[str, list[str]]:
    return {pod["name"]: pod["ips"] for pod in lab.inspect()["pods"] if pod["name"] in PODS}


def services(lab: Lab) -> dict[str, Any]:
    return {service["name"]: service for service in lab.inspect()["services"]}


def test_everything_has_an_address_of_each_family(lab: Lab) -> None:
    view = lab.inspect()
    wanted = families(lab)
    for node in view["nodes"]:
        assert [family_of(ip) for ip in node["addresses"]] == wanted
        assert [family_of(network) for network in node["podCIDRs"]] == wanted
    for pod in view["pods"]:
        assert [family_of(ip) for ip in pod["ips"]] == wanted
        (ranges,) = [node["podCIDRs"] for node in view["nodes"] if node["name"] == pod["node"]]
        assert all(ip_address(ip) in ip_network(pods) for ip, pods in zip(pod["ips"], ranges))  # noqa: B905
    found = services(lab)
    for name, expected in (
        ("web", wanted),
        ("kube-dns", wanted),
        ("six", [6]),
        ("plain", wanted[:1]),
    ):
        assert [family_of(ip) for ip in found[name]["clusterIPs"]] == expected, name
        assert {family_of(row["ip"]) for row in found[name]["endpoints"]} == set(expected), name


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_seen_by_every_pod_under_its_own_address(lab: Lab, pod: str) -> None:
    ips = pods(lab)
    targets = [ip for several in ips.values() for ip in several]
    seen = json.loads(python(lab, pod, ASK_EACH, *(host_port(ip, 8080) for ip in targets)))
    own = {family_of(ip): ip for ip in ips[pod]}
    assert seen == [own[family_of(ip)] for ip in targets]


@pytest.mark.parametrize("where", ["outside", "client-0", *NODES])
def test_every_node_answers_a_packet(lab: Lab, where: str) -> None:
    targets = [ip for node in lab.inspect()["nodes"] for ip in node["addresses"]]
    assert python(lab, where, PING_EACH, *targets) == "[]"


def test_a_packet_for_a_pod_that_is_not_there_ends_at_its_node(lab: Lab) -> None:
    """Without a route of its own it would leave by the default route."""
    node = lab.inspect()["nodes"][0]
    for network in node["podCIDRs"]:
        unused = str(ip_network(network)[-2])
        assert lab.exec(node["name"], ["ip", "route", "get", unused]).returncode != 0


def test_first_packets_are_timed_in_each_family(lab: Lab) -> None:
    ips = pods(lab)["web-0"]
    plan = {"targets": {ip: [ip, 8080] for ip in ips}, "connections": 3}
    argv = [sys.executable, "-m", handshakes.__name__, json.dumps(plan)]
    done = lab.exec("client-0", argv, timeout_s=300)
    found = handshakes.parse(done.stdout, done.returncode, done.stderr)
    assert [len(found[ip]) for ip in ips] == [3] * len(ips)
    assert all(time_ns > 0 for ip in ips for time_ns in found[ip])


def test_pods_ask_a_name_server_of_each_family(lab: Lab) -> None:
    text = lab.exec("client-0", ["cat", "/etc/resolv.conf"]).stdout
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")]
    assert servers == services(lab)["kube-dns"]["clusterIPs"]


def test_names_resolve_to_the_addresses_of_each_family(lab: Lab) -> None:
    found = services(lab)
    ips = pods(lab)
    pets = {ip for pod in WEB for ip in ips[pod]}
    for name, expected in (
        ("web", set(found["web"]["clusterIPs"])),
        ("six", set(found["six"]["clusterIPs"])),
        ("pets", pets),
    ):
        answers = lab.resolve("client-0", name)["answers"]
        assert {answer["data"] for answer in answers} == expected, name
        assert all((answer["type"] == "AAAA") == (":" in answer["data"]) for answer in answers)


def arrives(lab: Lab, source: str, url: str) -> None:
    """A load from `source` reaches every backend and nobody else."""
    # However busy the machine is, every request ends by its answer.
    unhurried = {"timeout_s": 300.0, "drain_s": 300.0}
    spec = LoadSpec(source=source, url=url, rate_rps=150.0, duration_s=0.4, **unhurried)
    summary = lab.load(spec).summary
    assert set(summary["outcomes"]) == {"ok"}, url
    assert set(summary["backends"]) == WEB, url


@pytest.mark.parametrize("url", ["http://web", "http://six", "http://pets:8080", "udp://pets:8080"])
def test_a_service_is_reached_by_name(lab: Lab, url: str) -> None:
    arrives(lab, "client-0", url)


@pytest.mark.parametrize("source", ["client-0", "n1"])
def test_a_service_is_reached_at_its_address_of_each_family(lab: Lab, source: str) -> None:
    for ip in services(lab)["web"]["clusterIPs"]:
        arrives(lab, source, f"http://{host_port(ip, 80)}")


def test_an_outside_host_arrives_by_node_port(lab: Lab) -> None:
    for ip in lab.inspect()["nodes"][0]["addresses"]:
        arrives(lab, "outside", f"http://{host_port(ip, 30080)}")


def test_a_request_is_traced_in_its_own_family(lab: Lab) -> None:
    for node_ip in lab.inspect()["nodes"][0]["addresses"]:
        to = f"http://{host_port(node_ip, 30080)}/"
        told, _ = trace(lab, "outside", to, "0badcafe", udp=False, timeout_s=300.0)
        assert told["observed"]["who"] in WEB
        assert (told["disagreements"], told["unheard"]) == ([], {})


def test_what_the_kernel_picked_is_recorded_in_each_family(lab: Lab) -> None:
    found = services(lab)["web"]["clusterIPs"]
    backends = {ip: pod for pod in WEB for ip in pods(lab)[pod]}
    lab.start_recording()
    for ip in found:
        arrives(lab, "client-0", f"http://{host_port(ip, 80)}")
    recording = lab.stop_recording()
    entries = read_entries(recording.entries)
    for ip in found:
        picked = entries[entries["dst_ip"] == ip]["reply_src_ip"]
        assert {backends[backend] for backend in picked} == WEB
        assert {family_of(backend) for backend in picked} == {family_of(ip)}
    own = set(pods(lab)["client-0"])
    for name in WEB:
        assert own <= set(read_accept_log(recording.accept_logs[name]).rows["src_ip"])


def test_a_pod_that_dialled_from_many_addresses_still_sends_from_its_own(lab: Lab) -> None:
    """Many connections want several source addresses; the kernel must not prefer one of them."""
    ips = pods(lab)["client-0"]
    target = host_port(services(lab)["web"]["clusterIPs"][0], 80)
    handle = lab.start_load(LoadSpec("client-0", f"http://{target}", rate_rps=300.0, duration_s=60))
    handle.stop()
    handle.wait()
    listed = lab.exec("client-0", ["ip", "-o", "addr", "show", "dev", "eth0"]).stdout
    assert len(listed.splitlines()) == 2 * len(ips)
    for ip in (ip for pod in WEB for ip in pods(lab)[pod]):
        (seen,) = json.loads(python(lab, "client-0", ASK_EACH, host_port(ip, 8080)))
        assert seen in ips


def test_rules_of_each_family_are_shown(lab: Lab) -> None:
    text = lab.rules("n1")
    for ip in services(lab)["web"]["clusterIPs"]:
        assert ip in text
