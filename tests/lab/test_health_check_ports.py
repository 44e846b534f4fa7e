"""healthCheckNodePort in a lab: what a load balancer outside hears from each node, as pods come and go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

PORT = 32001
MANY = 200
"""Questions that take longer than a change may wait before the proxy is unhealthy."""
SHOP = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": PORT,
        "selector": {"app": "shop"},
        "ports": [{"port": 80, "targetPort": 8080}],
    },
}
TOPOLOGY: dict[str, Any] = {
    "name": "health-check",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"balancer": {}},
    "dns": {"replicas": 0},
    "proxy": {"minSyncPeriod": "10ms", "syncPeriod": "100ms"},
    "workloads": {"shop": {"replicas": 1, "port": 8080, "node": "n1"}},
    "manifests": [SHOP],
}


class Shop:
    """A lab with a service behind a load balancer, its pods on the first node only."""

    def __init__(self) -> None:
        self.name = unique_name()
        self.lab = self.up()

    def up(self, **changes: Any) -> Lab:
        return Lab.up(Topology.model_validate({**TOPOLOGY, **changes}), name=self.name)

    def asked(self, node: int) -> tuple[int, str, dict[str, Any]]:
        """(status, weight, JSON) of what the balancer hears from a node; 0: nobody listens."""
        address = self.lab.inspect()["nodes"][node]["addresses"][0]
        argv = ["curl", "-s", "-i", "--max-time", "20", f"http://{address}:{PORT}/"]
        said = self.lab.exec("balancer", argv, timeout_s=60).stdout
        head, _, body = said.replace("\r", "").partition("\n\n")
        if not head.strip():
            return 0, "", {}
        lines = head.split("\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        return (
            int(lines[0].split()[1]),
            fields["X-Load-Balancing-Endpoint-Weight"],
            json.loads(body),
        )


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    found = Shop()
    with found.lab:
        yield found


def said(endpoints: int) -> dict[str, Any]:
    return {
        "service": {"namespace": "default", "name": "shop"},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": True,
    }


def test_only_nodes_with_an_endpoint_want_traffic(shop: Shop) -> None:
    assert shop.asked(0) == (200, "1", said(1))
    assert shop.asked(1) == (503, "0", said(0))


def test_the_weight_follows_the_pods(shop: Shop) -> None:
    shop.up(workloads={"shop": {**TOPOLOGY["workloads"]["shop"], "replicas": 3}})
    assert shop.asked(0) == (200, "3", said(3))
    shop.up()
    assert shop.asked(0) == (200, "1", said(1))


def test_a_stalled_proxy_wants_no_traffic(shop: Shop) -> None:
    """It may not know of the pods any more: nobody shall rely on it."""
    shop.lab.fault("stall-proxy", "n1")
    shop.lab.fault("crash", "shop-0")
    shop.lab.wait_event(
        lambda event: (event.source, event.kind) == ("store", "endpoint-not-ready"), 60
    )
    answers = (shop.asked(0) for _ in range(MANY))
    assert any(
        status == 503 and body == said(1) | {"serviceProxyHealthy": False}
        for status, _, body in answers
    )
    shop.lab.heal("n1")


def test_the_port_closes_with_the_service(shop: Shop) -> None:
    shop.up(manifests=[])
    assert shop.asked(0)[0] == 0
    shop.up()
    assert shop.asked(0)[0] == 200
