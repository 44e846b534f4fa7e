"""Tables: what `kubectl get` prints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.ages import age, ago, rfc3339
from testbed.apiserver.columns import KINDS
from testbed.apiserver.negotiation import Form, Shape
from testbed.apiserver.resources import RESOURCES, of_kind
from testbed.apiserver.tables import head, row

NOW_S = 1_700_000_000.0


def cells(kind: str, **body: Any) -> list[Any]:
    """Of an object that was made 90 s ago."""
    metadata = {"name": "it", "creationTimestamp": rfc3339(NOW_S - 90)} | body.pop("metadata", {})
    document = {"kind": kind, "metadata": metadata, **body}
    form = Form(Shape.TABLE, include="None")
    made = row(of_kind(kind), document, form, NOW_S)
    columns = head(of_kind(kind), form, {})["columnDefinitions"]
    assert len(made["cells"]) == len(columns)
    return list(made["cells"])


def container(name: str = "main", *, ready: bool = True, **state: Any) -> dict[str, Any]:
    last = state.pop("last", None)
    restarts = state.pop("restarts", 0)
    found = {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "state": state or {"running": {}},
    }
    return found | ({"lastState": {"terminated": last}} if last else {})


def pod(*containers: dict[str, Any], **status: Any) -> list[Any]:
    """Ready, Status and Restarts of a pod with two containers and an init container."""
    spec = status.pop("spec", {})
    metadata = status.pop("metadata", {})
    names = [{"name": "main"}, {"name": "side"}]
    spec = {"containers": names, "initContainers": [{"name": "init"}], **spec}
    made = {"phase": "Running", "containerStatuses": list(containers), **status}
    return cells("Pod", spec=spec, status=made, metadata=metadata)[1:4]


READY = [{"type": "Ready", "status": "True"}]
DONE = {"name": "init", "state": {"terminated": {"exitCode": 0}}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod(container(), container("side")), ["2/2", "Running", "0"]),
        (pod(phase="Pending"), ["0/2", "Pending", "0"]),
        (
            pod(container(ready=False, waiting={"reason": "CrashLoopBackOff"}, restarts=3)),
            ["0/2", "CrashLoopBackOff", "3"],
        ),
        (
            pod(container(restarts=2, last={"finishedAt": rfc3339(NOW_S - 300)})),
            ["1/2", "Running", "2 (5m ago)"],
        ),
        (
            pod(container(ready=False, terminated={"reason": "Completed"}), phase="Succeeded"),
            ["0/2", "Completed", "0"],
        ),
        (
            pod(
                container(ready=False, terminated={"reason": "Completed"}),
                container("side"),
                conditions=READY,
            ),
            ["1/2", "Running", "0"],
        ),
        (
            pod(container(ready=False, terminated={"reason": "Completed"}), container("side")),
            ["1/2", "NotReady", "0"],
        ),
        (pod(container(ready=False, terminated={"exitCode": 7})), ["0/2", "ExitCode:7", "0"]),
        (pod(container(ready=False, terminated={"signal": 9})), ["0/2", "Signal:9", "0"]),
        (pod(phase="Failed", reason="Evicted"), ["0/2", "Evicted", "0"]),
        (pod(container(), metadata={"deletionTimestamp": "x"}), ["1/2", "Terminating", "0"]),
        (pod(phase="Failed", metadata={"deletionTimestamp": "x"}), ["0/2", "Failed", "0"]),
        (
            pod(reason="NodeLost", metadata={"deletionTimestamp": "x"}),
            ["0/2", "Unknown", "0"],
        ),
        (
            pod(phase="Pending", initContainerStatuses=[container("init", ready=False)]),
            ["0/2", "Init:0/1", "0"],
        ),
        (
            pod(
                phase="Pending",
                initContainerStatuses=[
                    container("init", ready=False, terminated={"exitCode": 1}, restarts=4)
                ],
            ),
            ["0/2", "Init:ExitCode:1", "4"],
        ),
        (
            pod(
                phase="Pending",
                initContainerStatuses=[container("init", waiting={"reason": "ErrImagePull"})],
            ),
            ["0/2", "Init:ErrImagePull", "0"],
        ),
        (pod(container(), initContainerStatuses=[DONE]), ["1/2", "Running", "0"]),
        (
            pod(
                container(),
                spec={"initContainers": [{"name": "init", "restartPolicy": "Always"}]},
                initContainerStatuses=[{**container("init"), "started": True}],
            ),
            ["1/2", "Running", "0"],
        ),
        (
            pod(
                phase="Pending",
                conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}],
            ),
            ["0/2", "SchedulingGated", "0"],
        ),
    ],
)
def test_a_pod_says_what_it_is_doing(found: list[Any], expected: list[Any]) -> None:
    assert found == expected


def test_a_pod_at_large() -> None:
    spec = {
        "containers": [{"name": "main"}],
        "nodeName": "n1",
        "readinessGates": [{"conditionType": "x/y"}, {"conditionType": "x/z"}],
    }
    status = {
        "phase": "Running",
        "podIP": "10.1.0.7",
        "podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}],
        "conditions": [{"type": "x/y", "status": "True"}],
    }
    assert cells("Pod", spec=spec, status=status)[4:] == ["90s", "10.1.0.7", "n1", "<none>", "1/2"]


PORTS = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "Service",
            {
                "spec": {
                    "type": "NodePort",
                    "clusterIP": "10.96.0.7",
                    "ports": PORTS,
                    "selector": {"b": "2", "a": "1"},
                }
            },
            ["NodePort", "10.96.0.7", "<none>", "80:30080/TCP,53/UDP", "90s", "a=1,b=2"],
        ),
        (
            "Service",
            {"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "ports": []}},
            ["LoadBalancer", "10.96.0.7", "<pending>", "<none>", "90s", "<none>"],
        ),
        (
            "Service",
            {
                "spec": {
                    "type": "LoadBalancer",
                    "clusterIP": "10.96.0.7",
                    "externalIPs": ["1.2.3.4"],
                },
                "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}, {"hostname": "x.y"}]}},
            },
            ["LoadBalancer", "10.96.0.7", "5.6.7.8,x.y,1.2.3.4", "<none>", "90s", "<none>"],
        ),
        (
            "Service",
            {"spec": {"type": "ExternalName", "externalName": "a.example"}},
            ["ExternalName", "<none>", "a.example", "<none>", "90s", "<none>"],
        ),
        (
            "Endpoints",
            {
                "subsets": [
                    {
                        "addresses": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}],
                        "ports": [{"port": 80}, {"port": 81}],
                    }
                ]
            },
            ["10.1.0.7:80,[fd00::7]:80,10.1.0.7:81 + 1 more...", "90s"],
        ),
        ("Endpoints", {}, ["<none>", "90s"]),
        (
            "EndpointSlice",
            {
                "addressType": "IPv4",
                "ports": [{"port": 80}, {"name": "all"}],
                "endpoints": [{"addresses": ["10.1.0.7"]}],
            },
            ["IPv4", "80,*", "10.1.0.7", "90s"],
        ),
        ("EndpointSlice", {"addressType": "IPv4"}, ["IPv4", "<unset>", "<unset>", "90s"]),
        (
            "Deployment",
            {
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "spec": {
                            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]
                        }
                    },
                },
                "status": {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            },
            ["2/3", 1, 2, "90s", "a,b", "x,y", "app=web"],
        ),
        (
            "ReplicaSet",
            {"spec": {"replicas": 0}},
            [0, 0, 0, "90s", "", "", "<none>"],
        ),
        (
            "DaemonSet",
            {"status": {"desiredNumberScheduled": 3, "numberReady": 2}},
            [3, 0, 2, 0, 0, "<none>", "90s", "", "", "<none>"],
        ),
        ("Namespace", {"status": {"phase": "Active"}}, ["Active", "90s"]),
        ("ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": "Mg=="}}, [2, "90s"]),
        ("Secret", {"type": "Opaque", "data": {"a": "MQ=="}}, ["Opaque", 1, "90s"]),
        ("ServiceAccount", {}, [0, "90s"]),
        ("Lease", {"spec": {"holderIdentity": "n1"}}, ["n1", "90s"]),
        (
            "Ingress",
            {
                "spec": {
                    "ingressClassName": "front",
                    "rules": [{"host": f"{name}.example"} for name in "abcde"],
                    "tls": [{}],
                },
                "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}},
            },
            ["front", "a.example,b.example,c.example + 2 more...", "5.6.7.8", "80, 443", "90s"],
        ),
        ("Ingress", {"spec": {}}, ["<none>", "*", "", "80", "90s"]),
        (
            "IngressClass",
            {
                "spec": {
                    "controller": "x/y",
                    "parameters": {"apiGroup": "g", "kind": "K", "name": "n"},
                }
            },
            ["x/y", "K.g/n", "90s"],
        ),
        (
            "NetworkPolicy",
            {
                "spec": {
                    "podSelector": {
                        "matchLabels": {"app": "web"},
                        "matchExpressions": [
                            {"key": "tier", "operator": "In", "values": ["b", "a"]},
                            {"key": "old", "operator": "DoesNotExist"},
                        ],
                    }
                }
            },
            ["app=web,tier in (a,b),!old", "90s"],
        ),
        (
            "ServiceCIDR",
            {"spec": {"cidrs": ["10.96.0.0/16", "fd00::/108"]}},
            ["10.96.0.0/16,fd00::/108", "90s"],
        ),
        (
            "IPAddress",
            {"spec": {"parentRef": {"resource": "services", "namespace": "shop", "name": "web"}}},
            ["services/shop/web", "90s"],
        ),
        (
            "Node",
            {
                "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                    "nodeInfo": {"kubeletVersion": "v1"},
                },
            },
            ["Ready,SchedulingDisabled", "control-plane", "90s", "v1", "192.0.2.1", "<none>"]
            + 3 * ["<unknown>"],
        ),
    ],
)
def test_what_is_told_of_an_object(kind: str, body: dict[str, Any], expected: list[Any]) -> None:
    assert cells(kind, **body) == ["it", *expected]


@pytest.mark.parametrize(
    "event",
    [
        {
            "involvedObject": {
                "kind": "Pod",
                "name": "web-0",
                "fieldPath": "spec.containers{main}",
            },
            "source": {"component": "kubelet", "host": "n1"},
            "message": "gone\n",
            "firstTimestamp": rfc3339(NOW_S - 600),
            "lastTimestamp": rfc3339(NOW_S - 5),
            "count": 4,
        },
        {
            "regarding": {"kind": "Pod", "name": "web-0", "fieldPath": "spec.containers{main}"},
            "reportingController": "kubelet",
            "reportingInstance": "n1",
            "note": "gone",
            "eventTime": rfc3339(NOW_S - 600),
            "series": {"count": 4, "lastObservedTime": rfc3339(NOW_S - 5)},
        },
    ],
    ids=["core", "events.k8s.io"],
)
def test_an_event_in_either_form(event: dict[str, Any]) -> None:
    assert cells("Event", type="Normal", reason="Killing", **event) == [
        "5s",
        "Normal",
        "Killing",
        "pod/web-0",
        "spec.containers{main}",
        "kubelet, n1",
        "gone",
        "10m",
        4,
        "it",
    ]


def test_every_kind_that_can_be_listed_has_columns_and_says_little_of_little() -> None:
    for resource in RESOURCES:
        if resource.stored:
            assert cells(resource.kind)
    assert {one.stored for one in RESOURCES if one.stored} == set(KINDS)


def test_a_row_says_as_much_of_its_object_as_is_asked_for() -> None:
    document = {"kind": "ConfigMap", "metadata": {"name": "it"}, "data": {}}
    told = [
        row(of_kind("ConfigMap"), document, Form(Shape.TABLE, include=include), NOW_S).get("object")
        for include in ("None", "Metadata", "Object")
    ]
    assert told == [
        None,
        {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "it"},
        },
        document,
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (310, "5m10s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (4 * 3600 + 120, "4h2m"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (365 * 86400, "365d"),
        (2 * 365 * 86400, "2y"),
        (3 * 365 * 86400 + 20 * 86400, "3y20d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_age(seconds: float, told: str) -> None:
    assert age(seconds) == told


def test_an_age_of_what_is_no_time() -> None:
    assert ago(None, NOW_S) == ago("soon", NOW_S) == "<unknown>"
    assert ago("2023-11-14T22:13:20.123456Z", NOW_S + 1) == "0s"


@settings(deadline=None)
@given(st.floats(-1, 1e10))
def test_an_age_is_short(seconds: float) -> None:
    assert len(age(seconds)) <= 7
