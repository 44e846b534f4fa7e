"""The JSON of `inspect`."""

from __future__ import annotations

from testbed.lab.views import inspect
from testbed.model.containers import Container
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import ContainerStatus, Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort
from testbed.store import Create, Store
from tests.addresses import PLAN

IP = PLAN.pods["web-0"]
SPEC = PodSpec((Container("main", "echo"),), node_name="n1")
STATUS = PodStatus(
    "Running", (IP,), ready=True, containers=(ContainerStatus("main", restart_count=2),)
)
ROW = {
    "namespace": "default",
    "name": "web-0",
    "uid": "u0",
    "node": "n1",
    "ip": IP,
    "ips": [IP],
    "phase": "Running",
    "ready": True,
    "restarts": 2,
    "reason": "",
    "fake": False,
}


def shown(*items: Node | Pod | Service | EndpointSlice) -> dict[str, list[dict[str, object]]]:
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in items)
    return inspect(store.snapshot())


def test_a_node() -> None:
    node = Node(ObjectMeta("n1"), (PLAN.nodes["n1"],), ("198.51.100.0/24",), ready=True)
    assert shown(node)["nodes"] == [
        {
            "name": "n1",
            "addresses": [PLAN.nodes["n1"]],
            "podCIDR": "198.51.100.0/24",
            "podCIDRs": ["198.51.100.0/24"],
            "ready": True,
            "fake": False,
            "stopped": False,
            "cutOff": False,
        }
    ]


def test_a_pod() -> None:
    assert shown(Pod(ObjectMeta("web-0", "default", "u0"), SPEC, STATUS))["pods"] == [ROW]


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    meta = ObjectMeta("web-0", "default", "u0", deletion_s=1.0)
    assert shown(Pod(meta, SPEC, STATUS))["pods"] == [{**ROW, "phase": "Terminating"}]


def test_a_service_with_an_endpoint() -> None:
    meta = ObjectMeta("web-a", "default", labels={SERVICE_NAME_LABEL: "web"})
    endpoint = Endpoint((IP,), node_name="n1", target=TargetRef("default", "web-0", "u0"))
    port = ServicePort(80, "http", target_port=8080, node_port=30080)
    (row,) = shown(
        Service(ObjectMeta("web", "default"), (port,), type="NodePort", cluster_ips=("10.96.0.9",)),
        EndpointSlice(meta, (endpoint,), (EndpointPort(8080, "http"),)),
    )["services"]
    assert row == {
        "namespace": "default",
        "name": "web",
        "type": "NodePort",
        "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9"],
        "hostnames": [],
        "externalName": "",
        "loadBalancer": [],
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}
        ],
        "externalIPs": [],
        "loadBalancerIPs": [],
        "endpoints": [
            {
                "ip": IP,
                "port": 8080,
                "portName": "http",
                "protocol": "TCP",
                "pod": "web-0",
                "node": "n1",
                "ready": True,
            }
        ],
    }


def test_everything_is_ordered_by_name() -> None:
    pods = [
        Pod(ObjectMeta(name, space), SPEC) for space, name in [("b", "x"), ("a", "z"), ("a", "y")]
    ]
    rows = shown(*pods)["pods"]
    assert [(row["namespace"], row["name"]) for row in rows] == [("a", "y"), ("a", "z"), ("b", "x")]
