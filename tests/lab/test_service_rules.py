"""What is decided about a service before its rules: allocation, hints in endpoint slices, changes of both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.experiment.modes import with_mode
from testbed.lab.client import Lab
from testbed.model.service import ServiceSpec
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

ZONES = {"n1": "a", "n2": "b", "n3": "b"}
INGRESS = "198.51.100.7"


def topology(name: str, **service: Any) -> Topology:
    """A pod of `web` and one of `dial` on every node."""
    balanced = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "balanced", "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "web"},
            "externalTrafficPolicy": "Local",
            "ports": [{"port": 80, "targetPort": 8080}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": INGRESS}]}},
    }
    return Topology.model_validate(
        {
            "name": name,
            "nodes": {node: {"zone": zone} for node, zone in ZONES.items()},
            "hosts": {"client": {}},
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "10ms"},
            "workloads": {
                "web": {"replicas": 3},
                **{f"dial-{node}": {"node": node} for node in ZONES},
            },
            "services": {"web": {"port": 80, "clusterIP": "10.96.200.1", **service}},
            "manifests": [balanced],
        }
    )


def backends(lab: Lab, where: str, url: str) -> set[str]:
    """The nodes of the pods that answer."""
    ask = f"for i in $(seq 24); do curl -sm 60 {url}/hostname || exit; echo; done"
    done = lab.exec(where, ["sh", "-c", ask])
    assert done.returncode == 0, done.stderr
    nodes = {pod["name"]: pod["node"] for pod in lab.inspect()["pods"]}
    return {nodes[name] for name in done.stdout.split()}


def test_distribution_and_load_balancers_from_a_topology() -> None:
    name = unique_name()
    with Lab.up(topology(name), ephemeral=True) as lab:
        (balanced,) = (one for one in lab.inspect()["services"] if one["name"] == "balanced")
        assert balanced["type"] == "LoadBalancer"
        near = {"": set(ZONES), "PreferSameZone": {"n2", "n3"}, "PreferSameNode": {"n3"}}
        for distribution, nodes in near.items():
            service = {"trafficDistribution": distribution} if distribution else {}
            Lab.up(topology(name, **service))
            assert backends(lab, "dial-n3-0", "http://10.96.200.1") == nodes
        node = next(one for one in lab.inspect()["nodes"] if one["name"] == "n2")["addresses"][0]
        lab.exec("client", ["ip", "route", "add", INGRESS, "via", node])
        assert backends(lab, "client", f"http://{INGRESS}") == {"n2"}
        port = health_check_port(lab)
        for one in ZONES:
            said = lab.exec(one, ["curl", "-s", f"http://127.0.0.1:{port}/"]).stdout
            assert json.loads(said)["localEndpoints"] == 1


CHANGES: tuple[dict[str, Any], ...] = (
    {"port": 80, "type": "NodePort", "nodePort": 30080},
    {"port": 81, "targetPort": 8080, "type": "NodePort", "nodePort": 30081},
    {"port": 81, "targetPort": 8080, "selector": {"app": "dial-n1"}},
    {"port": 80, "type": "LoadBalancer", "selector": {"app": "dial-n2"}, "targetPort": 8080},
    {"port": 80, "sessionAffinity": "ClientIP", "internalTrafficPolicy": "Local"},
    {"externalName": "example.com"},
    {"port": 80, "clusterIP": "10.96.200.2", "selector": {"app": "dial-n3"}, "targetPort": 8080},
)
"""What becomes of a service, one after the other: its type, ports, selector, policies."""


@pytest.mark.parametrize("mode", ["iptables-nft", "nftables", "userspace"])
def test_a_service_that_changes_disturbs_no_other(mode: str) -> None:
    name = unique_name()

    def with_other(other: dict[str, Any]) -> Topology:
        found = topology(name)
        spec = ServiceSpec.model_validate({"selector": {"app": "web"}, **other})
        return with_mode(
            found.model_copy(update={"services": {**found.services, "other": spec}}), mode
        )

    with Lab.up(with_other({"port": 80}), ephemeral=True) as lab:
        spec = LoadSpec(
            "dial-n1-0", "http://10.96.200.1/hostname", rate_rps=100.0, duration_s=300.0
        )
        load = lab.start_load(spec)
        for change in CHANGES:
            Lab.up(with_other(change))
        assert backends(lab, "dial-n1-0", "http://10.96.200.2") == {"n3"}
        load.stop()
        outcomes = load.wait().summary["outcomes"]
        assert set(outcomes) <= {"ok", "censored"}
        assert outcomes["ok"] > 0


def health_check_port(lab: Lab) -> int:
    """The one that the rules of a node let in."""
    (line,) = (one for one in lab.rules("n1").splitlines() if "health check node port" in one)
    words = line.split()
    return int(words[words.index("--dport") + 1])
