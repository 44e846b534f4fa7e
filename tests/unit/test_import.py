"""A real cluster becomes a topology: what is kept, what is replaced, and that nothing is dropped in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cli.main import main
from testbed.errors import UsageError
from testbed.model.cluster_dump import objects_of, topology_of
from testbed.model.loader import load_text

DUMPS = Path(__file__).with_name("dumps")


def imported(name: str) -> tuple[dict[str, Any], list[str]]:
    documents = list(yaml.safe_load_all((DUMPS / name).read_text()))
    return topology_of(objects_of(documents), "imported")


def manifest(topology: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in topology["manifests"]
        if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    return dict(found)


@pytest.mark.parametrize("name", sorted(path.name for path in DUMPS.iterdir()))
def test_what_comes_out_is_a_topology(name: str) -> None:
    topology, notes = imported(name)
    assert load_text(json.dumps(topology)).name == "imported"
    assert notes


@pytest.mark.parametrize(
    ("name", "pods", "services", "nodes"),
    [
        ("kind.yaml", "10.244.0.0/22", "10.96.0.0/17", "172.18.0.0/16"),
        ("calico.json", "192.168.0.0/16", "10.100.0.0/16", "172.18.0.0/16"),
        (
            "dual-stack.yaml",
            "fd00:10:1::/64,10.1.0.0/24",
            "fd00:20::/120,10.20.0.0/24",
            "fd00:172:18::/64,172.18.0.0/16",
        ),
    ],
)
def test_networks_are_the_clusters(name: str, pods: str, services: str, nodes: str) -> None:
    network = imported(name)[0]["network"]
    assert network == {"podCIDR": pods, "serviceCIDR": services, "nodeCIDR": nodes}


def test_a_node_keeps_its_zone_and_whether_it_is_cordoned() -> None:
    nodes = imported("kind.yaml")[0]["nodes"]
    assert nodes["kind-worker2"] == {"zone": "b", "unschedulable": True}
    assert "node-role.kubernetes.io/control-plane" in nodes["kind-control-plane"]["labels"]


def test_a_stand_in_has_name_node_labels_ports_and_the_probes_times() -> None:
    pod = manifest(imported("kind.yaml")[0], "Pod", "shop-7c5ddbdf54-2xkqv")
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"]["app"] == "shop"
    assert pod["spec"]["nodeName"] == "kind-worker"
    assert [port["containerPort"] for port in container["ports"]] == [8080, 9100]
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/healthz", "port": 8080},
        "periodSeconds": 2,
        "failureThreshold": 1,
        "timeoutSeconds": 1,
    }


def test_a_pod_that_is_not_ready_stays_so_and_is_not_waited_for() -> None:
    pod = manifest(imported("kind.yaml")[0], "Pod", "shop-7c5ddbdf54-9wz7m")
    assert pod["metadata"]["annotations"] == {"testbed/await-ready": "false"}
    assert pod["spec"]["containers"][0]["readinessProbe"] == {"tcpSocket": {"port": 1}}


def test_a_port_that_only_the_service_names_is_served() -> None:
    pod = manifest(imported("calico.json")[0], "Pod", "db-0")
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 5432, "protocol": "TCP"}]


def test_a_service_keeps_its_addresses_and_what_it_says() -> None:
    topology = imported("calico.json")[0]
    service = manifest(topology, "Service", "ingress")
    assert service["spec"]["clusterIPs"] == ["10.100.200.1"]
    assert service["spec"]["healthCheckNodePort"] == 31234
    assert service["spec"]["ports"][0]["nodePort"] == 30991
    assert service["status"]["loadBalancer"]["ingress"] == [{"ip": "203.0.113.80"}]
    assert manifest(topology, "Service", "db-rw")["spec"]["sessionAffinity"] == "ClientIP"
    assert manifest(topology, "Service", "search")["spec"]["externalName"] == "search.example.org"


def test_slices_that_no_controller_makes_are_kept() -> None:
    topology = imported("calico.json")[0]
    kept = manifest(topology, "EndpointSlice", "legacy-1")
    assert kept["endpoints"] == [{"addresses": ["198.51.100.20"], "conditions": {"ready": True}}]
    assert not [one for one in topology["manifests"] if one["metadata"]["name"] == "db-rw-own"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("kind.yaml", "pods that have ended: left out: default/report-29180160-x"),
        ("kind.yaml", "pods that are on no node yet: left out: default/waiting"),
        ("kind.yaml", "taints: left out, pods stay where they are: kind-control-plane"),
        (
            "kind.yaml",
            "pods on their node's network behind no service: left out: kube-system/kube-proxy-abcde",
        ),
        ("calico.json", "objects of kind ConfigMap: left out: data/settings"),
        (
            "calico.json",
            "pods on their node's network: in the lab each has an address of its own: ingress/ingress-q7",
        ),
        (
            "calico.json",
            "loadBalancerClass of services, which does nothing here: left out: ingress/ingress",
        ),
    ],
)
def test_what_a_lab_cannot_have_is_named(name: str, line: str) -> None:
    assert line in imported(name)[1]


def test_many_pods_share_a_server() -> None:
    (node, pod, _) = yaml.safe_load_all((DUMPS / "dual-stack.yaml").read_text())
    nodes = [{**node, "metadata": {"name": f"n{one}"}} for one in range(10)]
    pods = [
        {
            **pod,
            "metadata": {**pod["metadata"], "name": f"web-{one}"},
            "spec": {**pod["spec"], "nodeName": f"n{one % 10}"},
        }
        for one in range(1000)
    ]
    topology, _ = topology_of([*nodes, *pods], "many")
    assert len(topology["manifests"]) == 1000
    assert manifest(topology, "Pod", "web-7")["metadata"]["annotations"] == {
        "testbed/server": "shared"
    }
    assert load_text(json.dumps(topology)).name == "many"


@pytest.mark.parametrize("document", ["text", ["list"], {"items": []}])
def test_what_is_no_dump_is_refused(document: Any) -> None:
    with pytest.raises(UsageError, match="no output of kubectl get"):
        objects_of([document])


def test_a_dump_without_nodes_is_refused() -> None:
    with pytest.raises(UsageError, match="no node is in there"):
        topology_of([], "empty")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{not json", "is not JSON"), ("a: [", "is not YAML"), ("", "no node is in there")],
)
def test_a_file_that_is_no_dump_is_wrong_usage(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dump"
    file.write_text(text)
    assert main(["import", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_the_file_that_is_written_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    assert main(["import", str(DUMPS / "kind.yaml"), "--name", "mine", "-w", str(file)]) == 0
    assert file.read_text().startswith("# Imported from ")
    assert main(["check", str(file)]) == 0
    assert "mine.yaml: 3 nodes, 5 objects" in capsys.readouterr().err
