"""Nodes and pods that exist only as objects, beside live ones that have the rules for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.lab.api_client import ApiClient
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

GHOSTS, CROWD, EACH = 20, 10, 6
PATIENCE_S = 60.0


def topology(ghosts: int = GHOSTS, each: int = EACH) -> Topology:
    return Topology.model_validate(
        {
            "name": "fakes",
            "nodes": {"n1": {}, "ghost": {"fake": ghosts}},
            "dns": {"replicas": 0},
            "proxy": {"minSyncPeriod": "10ms"},
            "workloads": {"web": {}, "crowd": {"fake": CROWD, "replicas": each}},
            "services": {"web": {"port": 80}, "crowd": {"port": 80}},
        }
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(topology(), name=unique_name()) as running:
        yield running


def services(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in view["services"]}


def outcomes(lab: Lab, service: str, timeout_s: float) -> dict[str, int]:
    address = services(lab.inspect())[service]["clusterIP"]
    spec = LoadSpec("web-0", f"http://{address}/", connections=1, duration_s=0.2,
                    timeout_s=timeout_s, drain_s=PATIENCE_S)  # fmt: skip
    return {name: count for name, count in lab.load(spec).summary["outcomes"].items() if count}


def test_all_are_ready_and_the_live_node_has_rules_for_each(lab: Lab) -> None:
    view = lab.inspect()
    assert sum(node["fake"] for node in view["nodes"]) == GHOSTS
    assert all(node["ready"] for node in view["nodes"])
    fake = [pod for pod in view["pods"] if pod["fake"]]
    assert len(fake) == CROWD * EACH
    assert all(pod["ready"] and pod["node"].startswith("ghost-") for pod in fake)
    found = services(view)
    for number in range(CROWD):
        mine = {pod["ip"] for pod in fake if pod["name"].startswith(f"crowd-{number}-")}
        assert {end["ip"] for end in found[f"crowd-{number}"]["endpoints"]} == mine
    rules = lab.rules("n1")
    assert [pod["ip"] for pod in fake if pod["ip"] not in rules] == []
    about = lab.describe()
    assert (about["nodes"], about["fakeNodes"]) == (GHOSTS + 1, GHOSTS)
    assert (about["pods"], about["fakePods"]) == (CROWD * EACH + 1, CROWD * EACH)


def test_a_request_to_a_fake_pod_times_out_and_others_do_not(lab: Lab) -> None:
    assert set(outcomes(lab, "crowd-0", 0.5)) == {"timeout"}
    assert set(outcomes(lab, "web", PATIENCE_S)) == {"ok"}


def test_whatever_needs_something_that_runs_says_that_nothing_does(lab: Lab) -> None:
    for where in ("crowd-0-0", "ghost-3"):
        with pytest.raises(UsageError, match=r"ghost-\d+ is fake"):
            lab.exec(where, ["true"])
    with pytest.raises(UsageError, match=r"ghost-\d+ is fake"):
        lab.fault("crash", "crowd-0-0")
    with pytest.raises(UsageError, match="ghost-3 is fake"):
        lab.fault("stall-proxy", "ghost-3")


def test_a_deleted_pod_is_replaced(lab: Lab) -> None:
    before = {pod["name"]: pod for pod in lab.inspect()["pods"]}["crowd-1-0"]
    since_ns = lab.now_ns()
    lab.fault("delete", "crowd-1-0")
    lab.wait_event(
        lambda event: (
            event.t_ns >= since_ns
            and event.kind == "endpoint-ready"
            and event.object == "default/crowd-1"
        ),
        PATIENCE_S,
    )
    view = lab.inspect()
    assert before["uid"] not in {pod["uid"] for pod in view["pods"]}
    assert len(services(view)["crowd-1"]["endpoints"]) == EACH


def test_a_node_that_a_client_makes_is_faked_too(lab: Lab) -> None:
    client = ApiClient(lab.kubernetes())
    kwok = {"kwok.x-k8s.io/node": "fake"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "kwok", "annotations": kwok}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "guest", "namespace": "default"},
        "spec": {"nodeName": "kwok", "containers": [{"name": "a", "image": "none"}]},
    }
    since_ns = lab.now_ns()
    for path, body in (("nodes/kwok", node), ("namespaces/default/pods/guest", pod)):
        answer = client.patch(
            f"/api/v1/{path}?fieldManager=test&force=true", "application/apply-patch+yaml", body
        )
        assert answer.code == 201, answer.body
    lab.wait_event(
        lambda event: (
            event.t_ns >= since_ns and event.kind == "pod-ready" and event.object == "default/guest"
        ),
        PATIENCE_S,
    )
    view = lab.inspect()
    (made,) = [node for node in view["nodes"] if node["name"] == "kwok"]
    assert made["ready"]
    assert len({node["podCIDR"] for node in view["nodes"]}) == GHOSTS + 2
    client.close()


def test_fewer_nodes_and_more_pods(lab: Lab) -> None:
    lab.change(topology(ghosts=5, each=EACH + 1))
    fake = [pod for pod in lab.inspect()["pods"] if pod["name"].startswith("crowd-")]
    assert len(fake) == CROWD * (EACH + 1)
    assert {pod["node"] for pod in fake} <= {f"ghost-{number}" for number in range(5)}
    assert all(pod["ready"] for pod in fake)
