"""Names and traffic through a whole lab: pod -> DNS service -> service -> pods."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.errors import NotFound, UsageError
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import unique_name
from tests.lab.outer import TESTBED

pytestmark = pytest.mark.lab

DOMAIN = "example.test"
TOPOLOGY: dict[str, Any] = {
    "name": "names",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"outside": {}},
    "dns": {"domain": DOMAIN, "replicas": 1},
    "workloads": {"web": {"replicas": 2, "port": 8080}, "client": {}},
    "services": {
        "web": {"port": 80, "targetPort": 8080, "nodePort": 30080, "clusterIP": "10.96.0.50"},
        "none": {"port": 80, "selector": {"app": "nobody"}},
        "direct": {"port": 8080, "clusterIP": "None", "selector": {"app": "web"}},
    },
}
WEB = {"web-0", "web-1"}
UNHURRIED: dict[str, Any] = {"timeout_s": 300.0, "drain_s": 300.0}
"""Of a load: every request ends by an answer, however late that comes."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def node_ip(lab: Lab) -> str:
    ip: str = lab.inspect()["nodes"][0]["addresses"][0]
    return ip


@pytest.mark.parametrize(
    "asked", ["web", "web.default", "web.default.svc", f"web.default.svc.{DOMAIN}."]
)
def test_a_service_resolves_by_every_spelling_of_its_name(lab: Lab, asked: str) -> None:
    found = lab.resolve("client-0", asked)
    assert found["name"] == asked
    assert [answer["data"] for answer in found["answers"]] == ["10.96.0.50"]
    assert {query["server"] for query in found["queries"]} == {"10.96.0.10"}


def test_a_headless_service_resolves_to_its_pods(lab: Lab) -> None:
    pods = {pod["ip"] for pod in lab.inspect()["pods"] if pod["name"] in WEB}
    answers = lab.resolve("client-0", "direct")["answers"]
    assert {answer["data"] for answer in answers} == pods


def test_an_unknown_name_has_no_answer_after_the_whole_search_path(lab: Lab) -> None:
    found = lab.resolve("client-0", "nope")
    assert found["answers"] == []
    in_domain = [query["rcode"] for query in found["queries"] if query["name"].endswith(DOMAIN)]
    assert in_domain == ["NXDOMAIN"] * 6  # three suffixes, A and AAAA


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("client-0", "http://web"),
        ("client-0", f"http://web.default.svc.{DOMAIN}"),
        ("client-0", "http://10.96.0.50"),
        ("client-0", "tcp://web:80"),
        ("client-0", "udp://direct:8080"),
        ("n1", "http://10.96.0.50"),
        ("web-0", "http://web"),
    ],
)
def test_traffic_arrives_at_all_backends(lab: Lab, source: str, url: str) -> None:
    spec = LoadSpec(source=source, url=url, rate_rps=150.0, duration_s=0.5, **UNHURRIED)
    summary = lab.load(spec).summary
    assert set(summary["outcomes"]) == {"ok"}
    assert set(summary["backends"]) == WEB
    assert sum(row["requests"] for row in summary["backends"].values()) == summary["requests"]


def test_an_outside_host_arrives_by_node_port(lab: Lab) -> None:
    url = f"http://{node_ip(lab)}:30080"
    spec = LoadSpec(source="outside", url=url, connections=2, duration_s=0.3, **UNHURRIED)
    summary = lab.load(spec).summary
    assert set(summary["outcomes"]) == {"ok"}
    assert set(summary["backends"]) == WEB


def test_a_service_without_endpoints_refuses(lab: Lab) -> None:
    spec = LoadSpec(
        source="client-0", url="http://none", rate_rps=50.0, duration_s=0.2, **UNHURRIED
    )
    assert set(lab.load(spec).summary["outcomes"]) == {"refused"}


LONG = LoadSpec(source="client-0", url="http://web", rate_rps=100.0, duration_s=300.0)


def test_a_load_that_is_stopped_keeps_what_it_measured(lab: Lab) -> None:
    heard: list[Any] = []
    handle = lab.start_load(LONG)

    def on_progress(message: Any) -> None:
        if message.get("progress", {}).get("requests"):
            if not heard:
                handle.stop()
            heard.append(message)

    result = handle.wait(on_progress)
    assert heard
    assert result.report["stopped"]
    assert 0 < result.summary["requests"] == result.report["requests"]


def test_a_load_may_be_stopped_before_it_has_begun(lab: Lab) -> None:
    handle = lab.start_load(LONG)
    handle.stop()
    assert handle.wait().report["stopped"]


def test_a_backend_that_never_answered_counts(lab: Lab) -> None:
    one_connection = {"connections": 1, "reuse": 10**6, **UNHURRIED}
    spec = LoadSpec(source="client-0", url="http://web", duration_s=0.2, **one_connection)
    backends = lab.load(spec).summary["backends"]
    assert set(backends) == WEB
    assert sorted(row["connections"] for row in backends.values()) == [0, 1]


@pytest.mark.parametrize(
    ("source", "url", "error"),
    [("nobody", "http://web", NotFound), ("outside", "http://web", UsageError)],
)
def test_a_load_that_cannot_be_is_refused(
    lab: Lab, source: str, url: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        lab.load(LoadSpec(source=source, url=url, rate_rps=10.0, duration_s=0.1))


@pytest.mark.parametrize("to", ["http://web", "web"])
def test_the_command_prints_the_contracts_json_alone(lab: Lab, to: str) -> None:
    words = ["load", lab.name, "--from", "client-0", "--to", to, "--rate", "100"]
    argv = [*TESTBED, *words, "--duration", "300ms", "-o", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    assert summary["backends"]
    assert {
        "requests",
        "duration_s",
        "rate_rps",
        "outcomes",
        "latency_ms",
        "backends",
        "balance",
    } <= (set(summary))
    assert set(summary["latency_ms"]) == {"p50", "p90", "p99", "max"}
    assert {"jain", "cv", "max_over_mean", "chi2_p", "entropy_bits"} <= set(summary["balance"])
