"""`network.stickyIPs`: a pod that comes in another's place has its address, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from testbed.events import Event
from testbed.experiment.trial_lab import has_programmed
from testbed.ip import host_port
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

NODES = ("n1", "n2", "n3")
PATIENCE_S = 120.0
BOTH = "10.244.0.0/16,fd00:10:244::/56"


def topology(home: str, cni: str = "host-gw", pods: str = BOTH) -> Topology:
    """Only `home` takes new pods of `web`: the other nodes are cordoned."""
    return Topology.model_validate(
        {
            "name": "sticky",
            "network": {
                "stickyIPs": True,
                "podCIDR": pods,
                "cni": cni,
            },
            "nodes": {node: {"unschedulable": node != home} for node in NODES},
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "100ms"},
            "workloads": {"web": {"terminationGracePeriodSeconds": 2}},
            "services": {"web": {"port": 80, "targetPort": 8080}},
        }
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(topology("n1"), name=unique_name()) as running:
        yield running


def pod(lab: Lab) -> dict[str, Any]:
    row: dict[str, Any]
    (row,) = (row for row in lab.inspect()["pods"] if row["phase"] != "Terminating")
    return row


def moved(lab: Lab, node: str, *network: str) -> dict[str, Any]:
    """The pod after it was deleted, its heir being scheduled on `node`."""
    before = pod(lab)
    lab.change(topology(node, *network))
    asked = lab.fault("delete", before["name"])

    def is_heir(event: Event) -> bool:
        return event.kind == "endpoint-ready" and event.t_ns > asked.t_ns

    offered = lab.wait_event(is_heir, PATIENCE_S)
    for name in NODES:
        lab.wait_event(partial(has_programmed, node=name, write=offered), PATIENCE_S)
    return pod(lab)


def answers(lab: Lab, url: str) -> set[str]:
    return {lab.exec(node, ["curl", "-s", "-m", "60", url], 120).stdout for node in NODES}


def detours(lab: Lab, ip: str) -> list[str]:
    """Nodes that have a host route by another node to it."""
    return [
        node
        for node in NODES
        if " via " in lab.exec(node, ["ip", "route", "show", f"{ip}/32"], 120).stdout
    ]


def test_a_pod_that_moves_keeps_its_addresses_and_is_found_by_everybody(lab: Lab) -> None:
    first = pod(lab)
    service = lab.inspect()["services"][0]["clusterIP"]
    assert (first["node"], detours(lab, first["ip"])) == ("n1", [])
    for node, led in (("n2", ["n1", "n3"]), ("n3", ["n1", "n2"]), ("n1", [])):
        now = moved(lab, node)
        assert (now["node"], now["ips"]) == (node, first["ips"])
        assert now["uid"] != first["uid"]
        urls = (f"http://{first['ip']}:8080", f"http://[{first['ips'][1]}]:8080")
        for url in (*urls, f"http://{service}"):
            assert answers(lab, f"{url}/hostname") == {now["name"]}
        assert detours(lab, first["ip"]) == led


def test_a_node_that_boots_gives_its_pods_their_addresses_back(lab: Lab) -> None:
    away = moved(lab, "n2")
    lab.fault("stop-node", "n2")
    healed = lab.heal("n2")
    lab.wait_event(
        lambda event: event.kind == "container-started" and event.t_ns > healed.t_ns, PATIENCE_S
    )
    now = pod(lab)
    assert (now["uid"], now["ips"]) == (away["uid"], away["ips"])
    assert answers(lab, f"http://{away['ip']}:8080/hostname") == {away["name"]}


@pytest.mark.parametrize(("cni", "pods"), [("vxlan", BOTH), ("weave", "10.244.0.0/16")])
def test_other_pod_networks_find_it_too(cni: str, pods: str) -> None:
    with Lab.up(topology("n1", cni, pods), name=unique_name(), ephemeral=True) as lab:
        first = pod(lab)
        urls = [f"http://{host_port(ip, 8080)}/hostname" for ip in first["ips"]]
        for node in ("n1", "n2", "n3"):
            now = pod(lab) if node == "n1" else moved(lab, node, cni, pods)
            assert (now["node"], now["ips"]) == (node, first["ips"])
            for url in urls:
                assert answers(lab, url) == {now["name"]}
