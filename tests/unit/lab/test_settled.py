"""What is still missing, in one line."""

from __future__ import annotations

from dataclasses import replace

from testbed.controllers.builtin import CONTROLLERS
from testbed.lab.settled import missing, unready_pods
from testbed.model.containers import Container
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import ContainerStatus, Pod, PodSpec, PodStatus
from testbed.store import Create, Snapshot, Store

NODE = Node(ObjectMeta("n1"), ("192.0.2.1",), ("198.51.100.0/24",), ready=True)
SPEC = PodSpec((Container("main", "echo"),), node_name="n1")
READY = PodStatus("Running", ("198.51.100.2",), ready=True, scheduled=True)


def pod(name: str, status: PodStatus = READY, deletion_s: float | None = None) -> Pod:
    return Pod(ObjectMeta(name, "default", deletion_s=deletion_s), SPEC, status)


def snapshot(*items: Object) -> Snapshot:
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in items)
    return store.snapshot()


def said(*items: Object) -> str:
    return missing(snapshot(*items), CONTROLLERS, 0.0)


def test_nothing_is_missing_when_all_is_ready() -> None:
    assert said(NODE, pod("web-0"), pod("web-1")) == ""


def test_a_node_that_is_not_ready_comes_first() -> None:
    assert said(replace(NODE, ready=False), pod("web-0", PodStatus())) == "nodes not ready: n1"


def test_pods_that_are_not_ready_are_named_with_their_reason() -> None:
    waiting = pod("web-1", replace(READY, ready=False, reason="Unhealthy", message="HTTP 500"))
    assert said(NODE, pod("web-0"), waiting) == (
        "1 of 2 pods ready, waiting for default/web-1 Unhealthy: HTTP 500"
    )


def test_a_container_that_cannot_start_is_why() -> None:
    reason, message = "CreateContainerConfigError", 'configmap "a" not found'
    container = ContainerStatus("web", state="waiting", reason=reason, message=message)
    status = PodStatus(containers=(ContainerStatus("first"), container))
    assert f"waiting for default/web-0 {reason}: {message}" in said(NODE, pod("web-0", status))


def test_a_pod_on_its_way_out_is_waited_for() -> None:
    assert "default/web-0 terminating" in said(NODE, pod("web-0", deletion_s=1.0))


def test_a_pod_that_has_succeeded_is_not_waited_for() -> None:
    assert unready_pods(snapshot(pod("job", PodStatus("Succeeded")))) == []


def test_many_pods_are_counted_and_five_are_named() -> None:
    text = said(NODE, *(pod(f"web-{index}", PodStatus()) for index in range(9)))
    assert text.startswith("0 of 9 pods ready")
    assert text.count("default/web-") == 5
    assert text.endswith("; …")


def test_a_controller_that_would_write_is_at_work() -> None:
    unscheduled = Pod(ObjectMeta("web-0", "default"), replace(SPEC, node_name=""), READY)
    assert said(NODE, unscheduled) == "controllers at work: scheduler"
