"""Names outside the cluster: who finds what by them, and how they follow services."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.dns.outside import PREFIX
from testbed.lab.client import Lab
from testbed.model.loader import load
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import unique_name
from tests.lab.outer import ROOT, TESTBED

pytestmark = pytest.mark.lab

FILE = ROOT / "topologies/outside-names.yaml"
NODES = ["172.18.0.2", "172.18.0.3", "172.18.0.4"]
BALANCED = "172.18.255.200"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(load(FILE), name=unique_name()) as running:
        yield running


@pytest.mark.parametrize("where", ["client", "n1", "web-0"])
def test_everybody_finds_the_names_of_services(lab: Lab, where: str) -> None:
    questions = [f"{name}.example.test" for name in ("shop", "client", "db", "nothing")]
    found = lab.exec(where, ["dig", "+short", *questions, "_ports._tcp.ports.example.test", "SRV"])
    assert found.stdout.split("\n") == [
        BALANCED,
        "172.18.128.1",
        "192.0.2.7",
        "0 50 30080 ports.example.test.",
        "",
    ]
    ports = lab.exec(where, ["dig", "+short", "ports.example.test"]).stdout.split()
    assert sorted(ports) == NODES


def test_a_machine_has_no_search_list(lab: Lab) -> None:
    found = lab.resolve("client", "shop")
    assert {(query["name"], query["rcode"]) for query in found["queries"]} == {("shop", "NXDOMAIN")}


def test_an_external_name_leads_out_of_the_cluster(lab: Lab) -> None:
    found = lab.resolve("web-0", "database")
    assert [answer["data"] for answer in found["answers"]] == ["db.example.test.", "192.0.2.7"]


def test_a_load_by_an_outside_name(lab: Lab) -> None:
    load = {"source": "client", "url": "http://shop.example.test/", "rate_rps": 50}
    spec = LoadSpec.from_json(load | {"duration_s": 0.5, "timeout_s": 60, "drain_s": 60})
    done = lab.load(spec)
    assert set(done.summary["outcomes"]) == {"ok"}
    assert set(done.summary["backends"]) == {"web-0", "web-1", "web-2"}


def test_https_by_the_name_of_an_ingress(lab: Lab, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(lab.ca_certificate())
    curl = [
        "curl",
        "-sS",
        "--http2",
        "--cacert",
        str(authority),
        "-w",
        "%{http_version} %{http_code}",
    ]
    done = lab.exec("client", [*curl, "-o", "/dev/null", "https://www.example.test/"])
    assert (done.stdout, done.stderr) == ("2 200", "")


def test_names_follow_services(lab: Lab) -> None:
    lab.change(renamed("store", "ports"))
    written = lab.wait_event(
        lambda event: event.kind == "written" and "store.example.test" in event.detail["names"],
        60.0,
    )
    assert (written.source, written.object) == ("dns", "example.test")
    names = ["store.example.test", "shop.example.test"]
    found = lab.exec("client", ["dig", "+short", *names])
    assert found.stdout.split() == [BALANCED]
    lab.change(renamed("shop", "ports"))


def test_without_a_zone_there_is_nobody_to_ask() -> None:
    topology = load(FILE, ["workloads.web.replicas=1"])
    bare = topology.model_copy(update={"dns": topology.dns.model_copy(update={"outside": None})})
    with Lab.up(bare, name=unique_name()) as running:
        text = running.exec("client", ["cat", "/etc/resolv.conf"]).stdout
        assert "nameserver" not in text
        running.change(topology)
        text = running.exec("client", ["cat", "/etc/resolv.conf"]).stdout
        assert text == "nameserver 172.18.0.1\n"
        assert running.resolve("client", "shop.example.test")["answers"]


def renamed(shop: str, ports: str) -> Topology:
    """The file's topology, its services under these names."""
    topology = load(FILE)
    services: dict[str, Any] = {}
    for name, spec in topology.services.items():
        outside = {"shop": shop, "ports": ports}.get(name)
        notes = {**spec.annotations, f"{PREFIX}hostname": f"{outside}.example.test"}
        changed = spec.model_copy(update={"annotations": notes})
        services[name] = changed if outside else spec
    return topology.model_copy(update={"services": services})


@pytest.mark.parametrize(
    ("source", "to"),
    [
        ("client", "shop.example.test"),
        ("client", "ports.example.test"),
        ("client", "www.example.test:80"),
        ("ingress-system/haproxy-ingress-0", "web-1:8080"),
    ],
)
def test_a_trace_by_an_outside_name_agrees(lab: Lab, source: str, to: str) -> None:
    """With hostNetwork the ingress controller has its node's addresses, and its packets are the node's."""
    done = subprocess.run(
        [*TESTBED, "trace", lab.name, source, to], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "OUTCOME answered" in done.stdout
    assert done.stdout.rstrip().endswith("AGREES")
