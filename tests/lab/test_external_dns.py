"""Other people's DNS programs in the DNS pods: what they say to the specification's rows, that they follow the
cluster, and that they come back with all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import ONCE, User, unique_name
from tests.lab.test_dns_specification import TOPOLOGY, said_by_dig
from tests.specification.rows import ROWS
from tests.specification.spoken import expected

pytestmark = pytest.mark.lab

NOT_MADE_UP = frozenset(
    {
        "2.6  an address has a name in a namespace's pods",
        "2.6  any address has one, in any namespace",
        "2.6  in IPv6",
        "2.6  of its own family only",
        "rfc  a namespace exists without services, too (8020)",
    }
)
"""What CoreDNS makes up when it is asked: names of addresses that no pod has, namespaces without a name."""
DIFFERENT = {
    "unbound": NOT_MADE_UP,
    "dnsmasq": NOT_MADE_UP
    | {
        "2.2  the version of the schema",
        "rfc  an address's name has no other records (2308)",
        "rfc  part of an address stands above the addresses in use (8020)",
        "rfc  a chain into nothing says so of its end (2308)",
        "coredns  the zone's name server",
    },
}
"""docs/external-dns-servers.md tells what they say instead."""
PEERS = "peers.default.svc.cluster.local"


def peers(*addresses: str) -> str:
    """A headless service with these endpoints, as YAML."""
    meta = {"name": "peers", "namespace": "default"}
    service = {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}
    labels = {"kubernetes.io/service-name": "peers"}
    endpoints = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one]} for one in addresses],
        "ports": [{"name": "http", "port": 80}],
    }
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", **endpoints}
    return yaml.safe_dump_all(
        [
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
            {**slice_, "metadata": {**meta, "labels": labels}},
        ]
    )


def until(name: str, rtype: str, *wanted: str) -> list[str]:
    """A command that asks until this is the answer: programs follow, and nobody waits for them."""
    told = " ".join(sorted(wanted))
    ask = f"dig +short +time=1 +tries=1 {name}. {rtype} | sort | xargs"
    look = f'[ "$({ask})" = "{told}" ] && exit 0; sleep 0.2'
    script = f"for i in $(seq 300); do {look}; done; {ask}; exit 1"
    return ["sh", "-c", script]


class Running:
    """A lab of this user's."""

    def __init__(self, user: User, program: str, name: str) -> None:
        self._user, self.program, self._name = user, program, name

    def run(self, verb: str, *arguments: str, stdin: str = "") -> str:
        done = self._user.testbed(verb, self._name, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def in_pod(self, argv: list[str]) -> str:
        return self.run("exec", "client-0", "--", *argv)


def topology(program: str) -> Mapping[str, Any]:
    return {**TOPOLOGY, "dns": {"replicas": 1, "server": program}}


@pytest.fixture(scope="module", params=DIFFERENT)
def lab(request: pytest.FixtureRequest, user: User) -> Iterator[Running]:
    program, name = str(request.param), unique_name()
    file = user.file("external-dns.yaml", json.dumps(topology(program)))
    up = user.testbed("up", file, "--name", name)
    try:
        assert up.returncode == 0, up.stderr
        yield Running(user, program, name)
    finally:
        user.testbed("down", name)


@ONCE
def test_the_rows_that_differ_are_those_that_are_documented(lab: Running) -> None:
    questions = [word for row in ROWS.values() for word in (f"{row.name}.", row.type)]
    messages = yaml.safe_load(lab.in_pod(["dig", "+yaml", *questions]))
    told = dict(zip(ROWS, map(said_by_dig, messages), strict=True))
    differing = {row.title for row in ROWS.values() if told[row.title][:2] != expected(row)[:2]}
    assert differing == DIFFERENT[lab.program]


@ONCE
def test_it_follows_the_cluster_and_comes_back_with_all_of_it(lab: Running) -> None:
    lab.run("apply", "-f", "-", stdin=peers("10.9.0.1", "10.9.0.2"))
    lab.in_pod(until(PEERS, "A", "10.9.0.1", "10.9.0.2"))
    lab.run("apply", "-f", "-", stdin=peers("10.9.0.2"))
    lab.in_pod(until(PEERS, "A", "10.9.0.2"))
    lab.in_pod(until(f"_http._tcp.{PEERS}", "SRV", f"0 100 80 10-9-0-2.{PEERS}."))
    assert restarts(lab) == 0
    lab.run("fault", "crash", "kube-system/coredns-0")
    lab.in_pod(until(PEERS, "A", "10.9.0.2"))
    assert restarts(lab) == 1


def restarts(lab: Running) -> int:
    told = lab.run("kubectl", "--", "-n", "kube-system", "get", "pods", "-o", "json")
    count: int = json.loads(told)["items"][0]["status"]["containerStatuses"][0]["restartCount"]
    return count


def test_a_command_is_given_files_and_told_by_sighup() -> None:
    command = [
        *("dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--pid-file="),
        *("--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces"),
        *("--listen-address={address}", "--addn-hosts={hosts}", "--local=/{domain}/"),
    ]
    dns = {"replicas": 1, "server": {"external": command}}
    nodes = {"n1": {}}
    asked = {"name": "command", "nodes": nodes, "dns": dns, "workloads": {"client": {}}}
    with Lab.up(Topology.model_validate(asked), name=unique_name()) as running:
        manifests = list(yaml.safe_load_all(peers("10.9.0.1")))
        running.change(Topology.model_validate({**asked, "manifests": manifests}))
        done = running.exec("client-0", until(PEERS, "A", "10.9.0.1"))
        assert done.returncode == 0, done.stdout
        synced = [
            event for event in running.events() if (event.source, event.kind) == ("dns", "sync")
        ]
    full, *later = [event.detail for event in synced]
    assert full["full"]
    assert later
    assert all(one["queued_ns"] <= one["start_ns"] <= one["end_ns"] for one in later)
