"""What pods are called, and whom they ask for names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.awaited import awaited
from tests.lab.conftest import unique_name
from tests.lab.outer import TESTBED

pytestmark = pytest.mark.lab


def pod(name: str, ready: bool = True, **spec: Any) -> dict[str, Any]:
    """One of the service `team`."""
    container: dict[str, Any] = {"name": "echo", "image": "testbed/echo"}
    annotations = {}
    if not ready:
        container["readinessProbe"] = {"tcpSocket": {"port": 9}}  # where nobody listens
        annotations = {"testbed/await-ready": "false"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "team"}, "annotations": annotations},
        "spec": {"containers": [container], **spec},
    }


def headless(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 8080}]
    spec = {"clusterIP": "None", "selector": {"app": "team"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


N1, N2 = ({"kubernetes.io/hostname": node} for node in ("n1", "n2"))
TOPOLOGY: dict[str, Any] = {
    "name": "names",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 1},
    "workloads": {
        "client": {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}},
        "alone": {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.53"]}},
        "outsider": {"dnsPolicy": "Default", "dnsConfig": {"searches": ["example.test"]}},
    },
    "manifests": [
        headless("team"),
        headless("all", publishNotReadyAddresses=True),
        pod("first", hostname="ada", subdomain="team"),
        pod("second", hostname="bob", subdomain="team", setHostnameAsFQDN=True),
        pod("third", ready=False, hostname="eve", subdomain="team"),
        pod("fourth", hostname="mallory", subdomain="other"),
        pod("fifth", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet", nodeSelector=N1),
        pod("sixth", hostNetwork=True, nodeSelector=N2),
    ],
}
DOMAIN = "svc.cluster.local"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def out(lab: Lab, where: str, *command: str) -> str:
    return lab.exec(where, command).stdout.strip()


def told(lab: Lab, *question: str) -> list[str]:
    """The data of what dig in a pod is told, through its search list."""
    return sorted(out(lab, "client-0", "dig", "+short", "+search", *question).splitlines())


def address(lab: Lab, name: str) -> str:
    return next(str(one["ip"]) for one in lab.inspect()["pods"] if one["name"] == name)


def test_a_pod_has_its_hostname_under_its_subdomain(lab: Lab) -> None:
    ada = address(lab, "first")
    assert told(lab, "ada.team") == [ada]
    assert f"ada.team.default.{DOMAIN}." in told(lab, "-x", ada)
    targets = [line.split()[-1] for line in told(lab, f"_http._tcp.team.default.{DOMAIN}", "SRV")]
    assert {f"{name}.team.default.{DOMAIN}." for name in ("ada", "bob")} <= set(targets)


def test_which_is_the_name_of_a_service(lab: Lab) -> None:
    mallory = address(lab, "fourth")
    assert told(lab, "mallory.other") == []
    assert told(lab, f"{mallory.replace('.', '-')}.team") == [mallory]


def test_a_pod_that_is_not_ready_has_none_unless_the_service_says_so(lab: Lab) -> None:
    eve = address(lab, "third")
    assert told(lab, "eve.team") == []
    assert told(lab, f"{eve.replace('.', '-')}.all") == [eve]


def test_what_a_pod_calls_itself(lab: Lab) -> None:
    assert out(lab, "first", "uname", "-n") == "ada"
    assert out(lab, "second", "uname", "-n") == f"bob.team.default.{DOMAIN}"
    hosts = out(lab, "second", "cat", "/etc/hosts").splitlines()
    assert f"{address(lab, 'second')} bob.team.default.{DOMAIN} bob" in hosts
    assert out(lab, "sixth", "uname", "-n") == "n2"


CLUSTER = (
    "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n"
)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("first", f"{CLUSTER}options ndots:5"),
        ("client-0", f"{CLUSTER}options ndots:2"),
        ("alone-0", "nameserver 192.0.2.53"),
        ("fifth", f"{CLUSTER}options ndots:5"),
    ],
)
def test_whom_a_pod_asks(lab: Lab, where: str, text: str) -> None:
    assert out(lab, where, "cat", "/etc/resolv.conf") == text


def test_a_pod_may_ask_whom_its_node_asks(lab: Lab) -> None:
    of_node = out(lab, "n2", "cat", "/etc/resolv.conf")
    assert out(lab, "sixth", "cat", "/etc/resolv.conf") == of_node
    outsider = out(lab, "outsider-0", "cat", "/etc/resolv.conf").splitlines()
    assert outsider[0] == "search example.test"


def test_names_follow_what_clients_of_the_api_make(lab: Lab, tmp_path: Path) -> None:
    manifests = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "till", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]},
        },
    ]
    assert told(lab, "till.shop") == told(lab, "10-96-7-7.shop.pod.cluster.local") == []
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    subprocess.run([*TESTBED, "apply", lab.name, "-f", str(file)], check=True)
    # The write is done; its word is on the way to the DNS server.
    awaited(lambda: told(lab, "till.shop"), lambda found: found == ["10.96.7.7"])
    assert told(lab, "10-96-7-7.shop.pod.cluster.local") == ["10.96.7.7"]
