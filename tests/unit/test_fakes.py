"""What `fake:` stands for: names, addresses, objects."""

from __future__ import annotations

from typing import Any, TypeVar

from testbed.fabric.plan import plan
from testbed.model import fakes
from testbed.model.consistency import inconsistencies
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import Deployment
from testbed.model.shorthand import expand_allocated
from testbed.model.sizes import Sizes, sizes_of
from testbed.model.topology import Topology

T = TypeVar("T", bound=Object)


def topology(**sections: Any) -> Topology:
    nodes = {"n1": {}, "ghost": {"fake": 3, "zone": "b"}, "lone": {"fake": True}}
    return Topology.model_validate(
        {"name": "lab", "dns": {"replicas": 0}, "nodes": nodes, **sections}
    )


def objects(kind: type[T], **sections: Any) -> list[T]:
    return [item for item in expand_allocated(topology(**sections)) if isinstance(item, kind)]


def test_a_number_is_spelled_out_and_true_keeps_the_name() -> None:
    found = objects(Node)
    assert [node.meta.name for node in found] == ["n1", "ghost-0", "ghost-1", "ghost-2", "lone"]
    assert [fakes.is_fake(node) for node in found] == [False, True, True, True, True]
    assert len({node.pod_cidr for node in found} | {node.internal_ip for node in found}) == 10
    assert found[1].meta.labels["topology.kubernetes.io/zone"] == "b"


def test_no_machine_is_wired_for_a_fake_node() -> None:
    fabric = plan(topology(nodes={"ghost": {"fake": 2}, "n1": {}, "n2": {}}))
    assert [one.name for one in fabric.machines if one.kind == "node"] == ["n1", "n2"]


def test_fake_pods_ask_for_fake_nodes_and_others_do_not() -> None:
    found = objects(Deployment, workloads={"web": {}, "crowd": {"fake": True}})
    assert [fakes.wants_fake(one.template.spec) for one in found] == [False, True]


def test_a_workload_of_many_has_as_many_services_each_with_its_own_pods() -> None:
    sections: dict[str, Any] = {
        "workloads": {"crowd": {"fake": 3, "replicas": 4, "port": 9000}},
        "services": {"crowd": {"port": 80}, "all": {"port": 80, "selector": {"app": "crowd-2"}}},
    }
    found = objects(Service, **sections)
    assert [(one.meta.name, dict(one.selector)) for one in found] == [
        *((f"crowd-{number}", {"app": f"crowd-{number}"}) for number in range(3)),
        ("all", {"app": "crowd-2"}),
    ]
    assert {one.ports[0].target_port for one in found[:3]} == {9000}
    assert len({one.cluster_ip for one in found}) == 4
    assert sizes_of(topology(**sections)) == Sizes(5, 4, 12, 12, 4)
    assert inconsistencies(topology(**sections)) == []


def test_a_topology_read_back_says_the_same() -> None:
    one = topology(workloads={"crowd": {"fake": 1}, "web": {"fake": True}})
    again = Topology.model_validate(one.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert again == one
    assert [entry.name for entry in fakes.workloads(again)] == ["crowd-0", "web"]
