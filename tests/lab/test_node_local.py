"""A cache on every node: pods ask it, and the cluster's servers are asked less."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

LOCAL, WEB = "169.254.20.10", "10.96.0.80"
REQUESTS = "coredns_dns_requests_total"
TOPOLOGY: dict[str, Any] = {
    "name": "node-local",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 1, "nodeLocal": True},
    "workloads": {"client": {"replicas": 2}, "web": {"port": 8080}},
    "services": {"web": {"port": 80, "targetPort": 8080, "clusterIP": WEB}},
}


def test_pods_ask_the_cache_and_it_asks_the_cluster_once() -> None:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as lab:
        pods = lab.inspect()["pods"]
        caches = [pod["node"] for pod in pods if pod["name"].startswith("node-local-dns-")]
        assert sorted(caches) == ["n1", "n2"]
        dns_ip = next(pod["ip"] for pod in pods if pod["name"].startswith("coredns-"))
        for client in ("client-0", "client-1"):
            found = lab.resolve(client, "web")
            assert [answer["data"] for answer in found["answers"]] == [WEB]
            assert {query["server"] for query in found["queries"]} == {LOCAL}

        batch = {"library": "glibc", "name": "web", "lookups": 20}
        servers = {"servers": [[LOCAL, 9253], [dns_ip, 9153]], "metrics": [REQUESTS]}
        jobs = json.dumps({"batches": [batch], "counters": servers})
        done = lab.exec("client-0", [sys.executable, "-m", "testbed.dns.lookups", jobs])
        counted = json.loads(done.stdout)["batches"][0]["counted"]
        assert counted[LOCAL][REQUESTS] >= 40
        assert counted[dns_ip][REQUESTS] < counted[LOCAL][REQUESTS] / 2
        health = lab.exec("client-1", ["curl", "-s", f"http://{LOCAL}:8080/health"])
        assert health.stdout == "OK"
