"""Changes of objects as Kubernetes' Events; the log of them counts, and forgets the oldest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from testbed.apiserver.event_log import EventLog
from testbed.apiserver.object_events import Said, events_of, of_balancer, of_probe, past_of
from testbed.events import Event as LabEvent
from testbed.model.documents import Event
from testbed.model.load_balancer import ALLOCATED_FROM
from testbed.model.manifest import from_client, to_manifest
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import ContainerStatus, Pod, PodStatus
from testbed.model.objects.services import LoadBalancerIngress, Service
from testbed.store import Change, Create, Delete, Store, Update

OFFSET_S = 1_000_000_000.0
"""2001-09-09T01:46:40Z."""


def pod(node: str = "", *statuses: ContainerStatus, **status: Any) -> Pod:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "default", "uid": "u-1"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }
    found = from_client(manifest)
    assert isinstance(found, Pod)
    spec = replace(found.spec, node_name=node)
    return replace(found, spec=spec, status=PodStatus(containers=statuses, **status))


def running(since_s: float = 1.0) -> ContainerStatus:
    return ContainerStatus("web", True, 0, "running", started_s=since_s)


def said_of(before: Pod | None, after: Pod) -> list[str]:
    kind = "ADDED" if before is None else "MODIFIED"
    change = Change(kind, after, before, 1, 5.0)
    return [f"{one.component} {one.reason}: {one.message}" for one in events_of([change], EMPTY)]


EMPTY = Store(lambda: 0.0).snapshot()
STOPPING = with_meta(pod("n1", running()), deletion_s=5.0)
BACKING_OFF = ContainerStatus("web", False, 1, "waiting", "CrashLoopBackOff", 1, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, pod(), []),
        (
            *(pod(), pod("n1")),
            ["default-scheduler Scheduled: Successfully assigned default/web-0 to n1"],
        ),
        (
            *(pod(), pod(reason="Unschedulable", message="0/1 nodes are available")),
            ["default-scheduler FailedScheduling: 0/1 nodes are available"],
        ),
        (
            *(pod("n1"), pod("n1", running())),
            [
                'kubelet Pulled: Container image "nginx" is not pulled: a program of this machine runs '
                "in its name",
                "kubelet Created: Created container: web",
                "kubelet Started: Started container web",
            ],
        ),
        (pod("n1", running()), pod("n1", running(), ready=True), []),
        (pod("n1", running()), STOPPING, ["kubelet Killing: Stopping container web"]),
        (STOPPING, STOPPING, []),
        (
            *(pod("n1", running()), pod("n1", BACKING_OFF)),
            ["kubelet BackOff: Back-off restarting failed container web in pod web-0_default(u-1)"],
        ),
        (
            *(pod("n1"), pod("n1", reason="FailedCreatePodSandBox", message="no room")),
            ["kubelet FailedCreatePodSandBox: Failed to create pod sandbox: no room"],
        ),
    ],
)
def test_what_is_said_of_a_pod(before: Pod | None, after: Pod, words: list[str]) -> None:
    assert said_of(before, after) == words


def test_what_became_of_a_pod_is_told_when_it_happened() -> None:
    found = list(past_of(with_meta(pod("n1", running(7.0)), creation_s=3.0)))
    assert [(one.reason, one.at_s) for one in found] == [
        ("Scheduled", 3.0),
        ("Pulled", 7.0),
        ("Created", 7.0),
        ("Started", 7.0),
    ]


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (pod(reason="Unschedulable", message="no node"), [("FailedScheduling", 3.0)]),
        (
            pod("n1", reason="FailedCreatePodSandBox", message="no room", started_s=4.0),
            [("Scheduled", 3.0), ("FailedCreatePodSandBox", 4.0)],
        ),
        (
            pod("n1", replace(BACKING_OFF, finished_s=9.0)),
            [("Scheduled", 3.0)]
            + [(reason, 1.0) for reason in ("Pulled", "Created", "Started")]
            + [("BackOff", 9.0)],
        ),
    ],
)
def test_what_holds_a_pod_up_is_told_to_whoever_comes_late(
    late: Pod, told: list[tuple[str, float]]
) -> None:
    found = list(past_of(with_meta(late, creation_s=3.0)))
    assert [(one.reason, one.at_s) for one in found] == told
    assert [one.warning for one in found][-1]


def test_a_failed_probe_is_a_warning_about_its_container() -> None:
    detail = {"probe": "readiness", "container": "web", "reason": "statuscode: 500"}
    event = LabEvent(2_000_000_000, "kubelet", "n1", "probe-failed", "default/web-0", 0, detail)
    one = of_probe(event, pod("n1", running()))
    assert (one.message, one.warning, one.field_path) == (
        "Readiness probe failed: statuscode: 500",
        True,
        "spec.containers{web}",
    )


REPLICA_SET: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {
        "name": "web-abc",
        "namespace": "default",
        "uid": "u-2",
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-3"}
            | {"controller": True}
        ],
    },
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        },
    },
}
DEPLOYMENT = {
    **REPLICA_SET,
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "uid": "u-3"},
}


def test_controllers_speak_of_what_they_own() -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(from_client(DEPLOYMENT))])
    made = store.apply([Create(from_client(REPLICA_SET))])
    assert [one.message for one in events_of(made, store.snapshot())] == [
        "Scaled up replica set web-abc from 0 to 3"
    ]
    smaller = {**REPLICA_SET, "spec": {**REPLICA_SET["spec"], "replicas": 1}}
    scaled = store.apply([Update(from_client(smaller))])
    (said,) = events_of(scaled, store.snapshot())
    assert said.message == "Scaled down replica set web-abc from 3 to 1"
    assert (said.about.kind, said.component) == ("Deployment", "deployment-controller")


def test_a_node_that_is_cordoned() -> None:
    before, after = (Node(ObjectMeta("n1"), unschedulable=flag) for flag in (False, True))
    (said,) = events_of([Change("MODIFIED", after, before, 1)], EMPTY)
    assert said.message == "Node n1 status is now: NodeNotSchedulable"


# The log


class Log:
    def __init__(self, capacity: int = 10) -> None:
        self.store = Store(lambda: 0.0)
        self._log = EventLog(OFFSET_S, capacity)

    def tell(self, *said: Said) -> None:
        self.store.apply(self._log.writes(said, self.store.snapshot()))

    def events(self) -> list[dict[str, Any]]:
        return [to_manifest(one) for one in self.store.list(Event)]


def said(message: str, at_s: float = 0.0) -> Said:
    return Said(pod("n1"), "Killing", message, at_s, "kubelet", "n1", "spec.containers{web}")


def test_an_event_is_as_clients_of_kubernetes_read_it() -> None:
    log = Log()
    log.tell(said("a", 20.0))
    (event,) = log.events()
    assert event["metadata"]["name"].startswith("web-0.")
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "default",
        "name": "web-0",
        "uid": "u-1",
        "resourceVersion": "0",
        "fieldPath": "spec.containers{web}",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Killing", "a")
    assert event["source"] == {"component": "kubelet", "host": "n1"}
    assert event["lastTimestamp"] == "2001-09-09T01:47:00Z"


def test_what_is_said_again_is_counted() -> None:
    log = Log()
    log.tell(said("a"), said("a", 1.0), said("b"))
    log.tell(said("a", 60.0))
    counts = {event["message"]: event["count"] for event in log.events()}
    assert counts == {"a": 3, "b": 1}
    again = log.events()[0]
    assert again["firstTimestamp"] < again["lastTimestamp"] == "2001-09-09T01:47:40Z"


def test_names_are_in_the_order_of_what_was_said() -> None:
    log = Log()
    log.tell(said("c"), said("b"), said("a"))
    log.tell(said("d", 1.0))
    by_name = sorted(log.events(), key=lambda event: event["metadata"]["name"])
    assert [event["message"] for event in by_name] == ["c", "b", "a", "d"]


@pytest.mark.parametrize("batch", [1, 5, 30])
def test_only_so_many_are_kept(batch: int) -> None:
    log = Log(capacity=4)
    messages = [said(str(number)) for number in range(30)]
    for start in range(0, 30, batch):
        log.tell(*messages[start : start + batch])
    assert sorted(event["message"] for event in log.events()) == ["26", "27", "28", "29"]


def test_what_a_user_deleted_is_no_trouble() -> None:
    log = Log(capacity=1)
    log.tell(said("a"))
    names: Iterable[str] = [event["metadata"]["name"] for event in log.events()]
    log.store.apply([Delete("Event", "default", name) for name in names])
    log.tell(said("b"))
    log.tell(said("a"))
    assert [event["message"] for event in log.events()] == ["a"]


def test_a_service_that_is_given_an_address_by_a_pool_is_said_to_have_it_once() -> None:
    store = Store(lambda: 7.0)
    web = Service(ObjectMeta("web", "default"), type="LoadBalancer")
    given = replace(
        with_meta(web, annotations={ALLOCATED_FROM: "default"}),
        load_balancer_ingress=(
            LoadBalancerIngress("203.0.113.7"),
            LoadBalancerIngress("2001:db8::7"),
        ),
    )
    foreign = replace(web, load_balancer_ingress=(LoadBalancerIngress("192.0.2.1"),))
    writes = [Create(web), Update(given), Update(replace(given, selector={"app": "web"}))]
    told = [said for one in writes for said in events_of(store.apply([one]), store.snapshot())]
    assert [(one.reason, one.message, one.component) for one in told] == [
        ("IPAllocated", 'Assigned IP ["203.0.113.7" "2001:db8::7"]', "metallb-controller")
    ]
    assert [one.reason for one in past_of(given)] == ["IPAllocated"]
    assert list(events_of(store.apply([Update(foreign)]), store.snapshot())) == []
    assert list(past_of(foreign)) == []


@pytest.mark.parametrize(
    ("kind", "detail", "wanted"),
    [
        (
            "allocation-failed",
            {"error": "no available IPs"},
            [("AllocationFailed", "no available IPs", True)],
        ),
        (
            "announcing",
            {"protocol": "layer2"},
            [("nodeAssigned", 'announcing from node "n1" with protocol "layer2"', False)],
        ),
        ("withdrawn", {}, []),
        (
            "SyncLoadBalancerFailed",
            {"message": "it cannot"},
            [("SyncLoadBalancerFailed", "Error syncing load balancer: it cannot", True)],
        ),
    ],
)
def test_what_load_balancers_say(
    kind: str, detail: dict[str, str], wanted: list[tuple[str, str, bool]]
) -> None:
    event = LabEvent(1, "edge", "n1", kind, "203.0.113.7", 0, detail)
    told = of_balancer(event, Service(ObjectMeta("web", "default")))
    assert [(one.reason, one.message, one.warning) for one in told] == wanted
