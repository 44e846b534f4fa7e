"""DNS pods that do what a Corefile says: the topology `dns-plugins`, and a Corefile that changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.loader import load_text
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

FILE = Path(__file__).parents[2] / "topologies" / "dns-plugins.yaml"
SMALL = {"n2: {}": "", "replicas: 2": "replicas: 1"}
"""One node and one pod of each kind is enough."""
_PATIENCE_S = 300


def topology(changes: dict[str, str]) -> Topology:
    text = FILE.read_text()
    for old, new in {**SMALL, **changes}.items():
        text = text.replace(old, new)
    return load_text(text)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(topology({}), name=unique_name()) as running:
        yield running


def answers(found: dict[str, Any]) -> list[str]:
    return [answer["data"] for answer in found["answers"]]


def page(lab: Lab, port_and_path: str) -> str:
    ip = next(pod["ip"] for pod in lab.inspect()["pods"] if pod["name"] == "coredns-0")
    done = lab.exec("client-0", ["curl", "-s", f"http://{ip}:{port_and_path}"])
    return done.stdout


def test_a_name_that_is_written_into_the_corefile(lab: Lab) -> None:
    found = lab.resolve("client-0", "printer.office.test")
    assert answers(found) == ["printer.office.test.", "192.0.2.10"]


def test_a_name_that_is_another_ones(lab: Lab) -> None:
    assert answers(lab.resolve("client-0", "shop")) == answers(lab.resolve("client-0", "web"))


def test_autopath_needs_one_query_of_each_type(lab: Lab) -> None:
    queries = lab.resolve("client-0", "web.default")["queries"]
    assert [query["rcode"] for query in queries] == ["NOERROR", "NOERROR"]


def test_an_unknown_name_is_denied_by_its_first_candidate(lab: Lab) -> None:
    queries = lab.resolve("client-0", "nothere")["queries"]
    assert [query["rcode"] for query in queries[:2]] == ["NXDOMAIN", "NXDOMAIN"]


def test_pages(lab: Lab) -> None:
    assert page(lab, "8080/health") == "OK"
    assert page(lab, "8181/ready") == "OK"
    assert 'coredns_plugin_enabled{name="autopath"' in page(lab, "9153/metrics")


def test_its_pods_are_probed(lab: Lab) -> None:
    events = lab.events()
    succeeded = {event.object for event in events if event.kind == "probe-succeeded"}
    assert "kube-system/coredns-0" in succeeded


def test_a_changed_corefile_is_reloaded(lab: Lab) -> None:
    lab.change(topology({"192.0.2.10": "192.0.2.11"}))
    deadline_s = time.monotonic() + _PATIENCE_S
    while answers(lab.resolve("client-0", "printer.office.test"))[-1:] != ["192.0.2.11"]:
        assert time.monotonic() < deadline_s
