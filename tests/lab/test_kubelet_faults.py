"""Faults in a running lab: what the kubelet notices, what the control plane writes, when rules follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testbed.errors import NotFound, UsageError
from testbed.events import Event
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

PROBE = {
    "httpGet": {"path": "/healthz", "port": 8080},
    "periodSeconds": 1,
    "timeoutSeconds": 4,  # so long nobody is kept from answering who does not hang
    "failureThreshold": 1,
}
TOPOLOGY: dict[str, Any] = {
    "name": "faults",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 0},
    "proxy": {"minSyncPeriod": "100ms"},
    "workloads": {
        "web": {
            "replicas": 2,
            "port": 8080,
            "readinessProbe": PROBE,
            "terminationGracePeriodSeconds": 1,
        },
        "lively": {"port": 8080, "livenessProbe": PROBE, "terminationGracePeriodSeconds": 1},
    },
    "services": {"web": {"port": 80, "targetPort": 8080}},
}
PATIENCE_S = 120.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def after(lab: Lab, fault: Event, kind: str, **wanted: Any) -> Event:
    """The first event of a kind at or after a fault; `wanted` are its fields or its detail's."""

    def fits(event: Event) -> bool:
        return (
            event.t_ns >= fault.t_ns
            and event.kind == kind
            and all(getattr(event, key, event.detail.get(key)) == wanted[key] for key in wanted)
        )

    return lab.wait_event(fits, PATIENCE_S)


def pod(lab: Lab, name: str) -> dict[str, Any]:
    return next(row for row in lab.inspect()["pods"] if row["name"] == name)


def synced(lab: Lab, version: int, node: str) -> Event:
    """The sync by which a node's rules have the store's version."""
    return lab.wait_event(
        lambda event: (
            event.kind == "sync"
            and event.node == node
            and event.resource_version >= version
            and not event.detail["error"]
        ),
        PATIENCE_S,
    )


def test_a_crash_is_noticed_restarted_in_place_and_ready_again(lab: Lab) -> None:
    before = pod(lab, "web-0")
    fault = lab.fault("crash", "web-0")
    died = after(lab, fault, "container-died", object="default/web-0")
    assert died.detail["exit_code"] == 137
    started = after(lab, died, "container-started", object="default/web-0")
    assert started.detail["restart_count"] == 1
    after(lab, started, "pod-ready", object="default/web-0")
    now = pod(lab, "web-0")
    assert (now["uid"], now["ip"], now["restarts"]) == (before["uid"], before["ip"], 1)


def test_a_withdrawn_endpoint_leaves_the_rules_of_every_node_by_its_version(lab: Lab) -> None:
    ip = pod(lab, "web-0")["ip"]
    assert all(f"{ip}:8080" in lab.rules(node) for node in ("n1", "n2"))
    fault = lab.fault("hang", "web-0")
    failed = after(lab, fault, "probe-failed", object="default/web-0")
    detect = after(lab, fault, "pod-not-ready", object="default/web-0")
    withdraw = after(lab, fault, "endpoint-not-ready", object="default/web", pod_ip=ip)
    assert fault.t_ns < failed.t_ns <= detect.t_ns <= withdraw.t_ns
    assert detect.resource_version < withdraw.resource_version
    for node in ("n1", "n2"):
        program = synced(lab, withdraw.resource_version, node)
        assert withdraw.t_ns <= program.detail["start_ns"] <= program.detail["end_ns"]
        assert f"{ip}:8080" not in lab.rules(node)
    healed = lab.heal("web-0")
    back = after(lab, healed, "endpoint-ready", object="default/web", pod_ip=ip)
    synced(lab, back.resource_version, "n1")
    assert f"{ip}:8080" in lab.rules("n1")


def test_a_deleted_pod_is_replaced_by_another_of_its_name(lab: Lab) -> None:
    before = pod(lab, "web-0")
    fault = lab.fault("delete", "web-0")
    after(lab, fault, "endpoint-not-ready", object="default/web", uid=before["uid"])
    ready = after(lab, fault, "pod-ready")
    assert ready.detail["uid"] != before["uid"]
    removed = after(lab, fault, "pod-removed", object="default/web-0")
    assert removed.t_ns > fault.t_ns
    assert before["uid"] not in {row["uid"] for row in lab.inspect()["pods"]}


def test_a_hang_that_a_liveness_probe_finds_is_restarted(lab: Lab) -> None:
    fault = lab.fault("hang", "lively-0")
    started = after(lab, fault, "container-started", object="default/lively-0")
    assert started.detail["restart_count"] == 1
    after(lab, started, "probe-succeeded", object="default/lively-0")


def test_a_second_crash_waits_for_the_back_off(lab: Lab) -> None:
    first = lab.fault("crash", "lively-0")
    after(lab, first, "container-started", object="default/lively-0")
    second = lab.fault("crash", "lively-0")
    after(lab, second, "container-died", object="default/lively-0")
    assert pod(lab, "lively-0")["reason"] == "CrashLoopBackOff"


@pytest.mark.parametrize(("where", "error"), [("n1", UsageError), ("web-9", NotFound)])
def test_a_fault_is_for_pods_that_are_there(lab: Lab, where: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        lab.fault("crash", where)
