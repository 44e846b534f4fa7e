"""Per-node control faults and the proxy's pages, in a lab: what the node's own HTTP ports say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from testbed.errors import CheckFailed, OutOfTimeOrRoom, UsageError
from testbed.events import Event
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

TOPOLOGY: dict[str, Any] = {
    "name": "proxy-faults",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"outside": {}},
    "dns": {"replicas": 0},
    "proxy": {"minSyncPeriod": "10ms", "syncPeriod": "100ms"},
    "workloads": {"web": {"replicas": 2, "port": 8080}},
    "services": {"web": {"port": 80, "targetPort": 8080}},
}
PATIENCE_S = 120.0


class Changing:
    """A lab whose service is changed again and again."""

    def __init__(self) -> None:
        self.name = unique_name()
        self.port = 80
        self.lab = self.up()

    def up(self) -> Lab:
        services = {"web": {"port": self.port, "targetPort": 8080}}
        topology = Topology.model_validate({**TOPOLOGY, "services": services})
        return Lab.up(topology, name=self.name, timeout_s=120)

    def change(self) -> Lab:
        """The service gets another port; returns when every node that hears of it has it."""
        self.port += 1
        return self.up()

    def page(self, node: str, url: str) -> tuple[int, str]:
        """(status, body) of a page, seen from the node itself."""
        argv = ["curl", "-s", "-w", "\n%{http_code}", url]
        done = self.lab.exec(node, argv, timeout_s=120)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def metric(self, node: str, name: str) -> float:
        """A metric without labels of its own, of IPv4."""
        status, text = self.page(node, "127.0.0.1:10249/metrics")
        assert status == 200
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels.get("ip_family", "IPv4") == "IPv4"
        ]
        (sample,) = samples
        return sample.value

    def rules(self, node: str) -> list[str]:
        """The rules in the node's kernel, without counters and times."""
        return [line for line in self.lab.rules(node).splitlines() if line.startswith("-A")]

    def sync_after(self, event: Event, node: str) -> Event:
        """The node's first sync that started after an event."""
        return self.lab.wait_event(
            lambda one: (
                (one.source, one.kind, one.node) == ("proxy", "sync", node)
                and one.detail["sync_start_ns"] > event.t_ns
                and not one.detail["error"]
            ),
            PATIENCE_S,
        )


@pytest.fixture(scope="module")
def changing() -> Iterator[Changing]:
    found = Changing()
    with found.lab:
        yield found


def test_each_node_publishes_its_own_metrics(changing: Changing) -> None:
    name = "kubeproxy_sync_proxy_rules_service_changes_total"
    before = [changing.metric(node, name) for node in ("n1", "n2")]
    changing.change()
    assert [changing.metric(node, name) for node in ("n1", "n2")] == [one + 1 for one in before]
    assert changing.metric("n1", "kubeproxy_sync_proxy_rules_service_changes_pending") == 0
    assert changing.page("n1", "127.0.0.1:10249/proxyMode") == (200, "iptables")
    assert (
        json.loads(changing.page("n2", "127.0.0.1:10249/configz")[1])["kubeproxy.config.k8s.io"][
            "hostnameOverride"
        ]
        == "n2"
    )


def test_metrics_are_the_nodes_own_and_health_is_for_all(changing: Changing) -> None:
    address = changing.lab.inspect()["nodes"][0]["addresses"][0]
    assert changing.page("outside", f"http://{address}:10256/healthz")[0] == 200
    refused = changing.lab.exec("outside", ["curl", "-s", f"http://{address}:10249/metrics"], 120)
    assert refused.returncode != 0


def test_a_stalled_proxy_grows_unhealthy_and_catches_up(changing: Changing) -> None:
    stalled = changing.lab.fault("stall-proxy", "n1")
    before = changing.rules("n1")
    with pytest.raises(OutOfTimeOrRoom, match="not ready"):
        Lab.up(_with_port(999), name=changing.name, timeout_s=1)
    assert changing.rules("n1") == before
    changing.sync_after(stalled, "n2")
    assert "--dport 999 " in changing.lab.rules("n2")
    assert changing.page("n1", "127.0.0.1:10256/livez")[0] == 503
    assert changing.page("n2", "127.0.0.1:10256/livez")[0] == 200
    healed = changing.lab.heal("n1")
    assert healed.detail["healed"] == ["stall-proxy"]
    changing.sync_after(stalled, "n1")
    assert "--dport 999 " in changing.lab.rules("n1")
    assert changing.page("n1", "127.0.0.1:10256/livez")[0] == 200


def test_a_delayed_watch_programs_that_much_later(changing: Changing) -> None:
    delay_s = 1.5
    fault = changing.lab.fault("delay-watch", "n2", delay_s=delay_s, jitter_s=0.5, seed=3)
    changing.change()
    early, late = (changing.sync_after(fault, node) for node in ("n1", "n2"))
    assert late.resource_version >= early.resource_version
    assert late.detail["queued_ns"] - early.detail["queued_ns"] > (delay_s - 0.5) * 1e9 * 0.9
    assert changing.lab.heal("n2").detail["healed"] == ["delay-watch"]
    with pytest.raises(CheckFailed, match="nothing is wrong with n2"):
        changing.lab.heal("n2")


def test_a_restarted_proxy_reads_the_kernel_and_counts_anew(changing: Changing) -> None:
    before = changing.rules("n1")
    restarted = changing.lab.fault("restart-proxy", "n1")
    sync = changing.sync_after(restarted, "n1")
    assert (sync.detail["full"], sync.detail["commands"]) == (True, 0)
    assert changing.rules("n1") == before
    assert changing.metric("n1", "kubeproxy_sync_proxy_rules_duration_seconds_count") >= 1
    assert changing.metric("n1", "kubeproxy_sync_proxy_rules_service_changes_total") == 0


@pytest.mark.parametrize(("kind", "where"), [("stall-proxy", "outside"), ("crash", "n1")])
def test_what_a_fault_is_not_for(changing: Changing, kind: str, where: str) -> None:
    with pytest.raises(UsageError):
        changing.lab.fault(kind, where)


def _with_port(port: int) -> Topology:
    services = {"web": {"port": port, "targetPort": 8080}}
    return Topology.model_validate({**TOPOLOGY, "services": services})
