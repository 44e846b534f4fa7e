"""Objects to Kubernetes' JSON and back: nothing is lost, every mistake has its path."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Probe, TCPSocketAction
from testbed.model.label_selector import LabelSelector, LabelSelectorRequirement
from testbed.model.manifest import ManifestError, from_client, from_manifest, to_manifest
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import Condition, Object, ObjectMeta, OwnerReference
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import (
    ContainerStatus,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PodStatus,
    PreferredSchedulingTerm,
)
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.model.objects.workloads import (
    DaemonSet,
    DaemonSetStatus,
    Deployment,
    DeploymentStatus,
    PodTemplate,
    ReplicaSet,
    ReplicaSetStatus,
    RollingUpdate,
    UpdateStrategy,
)
from testbed.model.scheduling import (
    EFFECTS,
    PodAffinity,
    PodAffinityTerm,
    Taint,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
LABELS = st.dictionaries(NAMES, NAMES, max_size=2)
SECONDS = st.floats(0, 1e6, allow_nan=False)
SOME_SECONDS = st.none() | SECONDS
PORTS = st.integers(1, 65535)
PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP"])
ADDRESSES = st.ip_addresses(v=4).map(str)
EMPTY_OR_NAME = st.just("") | NAMES


def many(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def metas(namespaces: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[ObjectMeta]:
    return st.builds(
        ObjectMeta,
        name=NAMES,
        namespace=namespaces,
        uid=EMPTY_OR_NAME,
        resource_version=st.integers(0, 10**9),
        labels=LABELS,
        annotations=LABELS,
        creation_s=SECONDS,
        deletion_s=SOME_SECONDS,
        deletion_grace_period_s=SOME_SECONDS,
        owners=many(
            st.builds(OwnerReference, NAMES, NAMES, NAMES, NAMES, st.booleans(), st.booleans())
        ),
        finalizers=many(NAMES),
        generation=st.integers(0, 99),
    )


ACTIONS = st.builds(HTTPGetAction, path=NAMES.map("/".__add__), port=PORTS | NAMES) | st.builds(
    TCPSocketAction, port=PORTS | NAMES
)
PROBES = st.none() | st.builds(
    Probe,
    action=ACTIONS,
    initial_delay_s=SECONDS,
    period_s=st.floats(0.01, 1e6),
    timeout_s=st.floats(0.01, 1e6),
    success_threshold=st.integers(1, 9),
    failure_threshold=st.integers(1, 9),
)
CONTAINERS = st.builds(
    Container,
    name=NAMES,
    image=NAMES,
    ports=many(st.builds(ContainerPort, PORTS, EMPTY_OR_NAME, PROTOCOLS)),
    command=many(st.text(max_size=5)),
    args=many(st.text(max_size=5)),
    readiness_probe=PROBES,
    liveness_probe=PROBES,
)
TERMS = st.builds(
    NodeSelectorTerm,
    many(st.builds(NodeSelectorRequirement, NAMES, st.sampled_from(["In", "Exists"]), many(NAMES))),
    many(st.builds(NodeSelectorRequirement, NAMES, st.just("In"), many(NAMES))),
)
SELECTORS = st.none() | st.builds(
    LabelSelector,
    LABELS,
    many(
        st.builds(LabelSelectorRequirement, NAMES, st.sampled_from(["In", "Exists"]), many(NAMES))
    ),
)
AFFINITY_TERMS = st.builds(
    PodAffinityTerm, NAMES, SELECTORS, many(NAMES), SELECTORS, many(NAMES), many(NAMES)
)
AFFINITIES = st.builds(
    PodAffinity,
    st.lists(AFFINITY_TERMS, min_size=1, max_size=2).map(tuple),
    many(st.builds(WeightedPodAffinityTerm, st.integers(1, 100), AFFINITY_TERMS)),
)
POD_SPECS = st.builds(
    PodSpec,
    containers=st.lists(CONTAINERS, min_size=1, max_size=2, unique_by=lambda item: item.name).map(
        tuple
    ),
    node_name=EMPTY_OR_NAME,
    node_selector=LABELS,
    node_affinity=st.none()
    | st.builds(
        NodeAffinity,
        many(TERMS),
        many(st.builds(PreferredSchedulingTerm, st.integers(1, 100), TERMS)),
    ),
    restart_policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    termination_grace_period_s=SECONDS,
    dns_policy=st.sampled_from(["ClusterFirst", "Default"]),
    tolerations=many(
        st.builds(
            Toleration,
            EMPTY_OR_NAME,
            st.sampled_from(["Equal", "Exists"]),
            EMPTY_OR_NAME,
            st.sampled_from(["", *EFFECTS]),
            st.none() | st.integers(0, 999),
        )
    ),
    pod_affinity=st.none() | AFFINITIES,
    pod_anti_affinity=st.none() | AFFINITIES,
    topology_spread=many(
        st.builds(
            TopologySpreadConstraint,
            st.integers(1, 9),
            NAMES,
            st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
            SELECTORS,
            st.none() | st.integers(1, 9),
            st.sampled_from(["Honor", "Ignore"]),
            st.sampled_from(["Honor", "Ignore"]),
            many(NAMES),
        )
    ),
    scheduling_gates=many(NAMES),
)
CONTAINER_STATUSES = st.builds(
    ContainerStatus,
    name=NAMES,
    ready=st.booleans(),
    restart_count=st.integers(0, 9),
    state=st.sampled_from(["waiting", "running", "terminated"]),
    reason=EMPTY_OR_NAME,
    exit_code=st.none() | st.integers(-1, 255),
    started_s=SOME_SECONDS,
)
POD_STATUSES = st.builds(
    PodStatus,
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    pod_ips=many(ADDRESSES),
    ready=st.booleans(),
    ready_changed_s=SOME_SECONDS,
    scheduled=st.booleans(),
    reason=EMPTY_OR_NAME | st.just("Unschedulable"),
    message=EMPTY_OR_NAME,
    containers=st.lists(CONTAINER_STATUSES, max_size=2, unique_by=lambda item: item.name).map(
        tuple
    ),
)


COUNTS = st.integers(0, 99)
SHARES = COUNTS | st.integers(0, 100).map("{}%".format)
CONDITIONS = st.lists(
    st.builds(
        Condition,
        NAMES,
        st.sampled_from(["True", "False", "Unknown"]),
        EMPTY_OR_NAME,
        EMPTY_OR_NAME,
        SOME_SECONDS,
        SOME_SECONDS,
    ),
    max_size=2,
    unique_by=lambda item: item.type,
).map(tuple)
STRATEGIES = st.builds(
    UpdateStrategy,
    rolling_update=st.builds(RollingUpdate, st.integers(1, 9), SHARES),
)


@st.composite
def workloads(draw: st.DrawFn) -> Deployment | ReplicaSet | DaemonSet:
    labels = draw(st.dictionaries(NAMES, NAMES, min_size=1, max_size=2))
    selector = LabelSelector(
        labels, tuple(LabelSelectorRequirement(key, "In", (labels[key],)) for key in labels)
    )
    template = PodTemplate({**draw(LABELS), **labels}, draw(POD_SPECS), draw(LABELS))
    shared = {"meta": draw(metas()), "selector": selector, "template": template}
    return draw(
        st.builds(
            Deployment,
            **{key: st.just(value) for key, value in shared.items()},
            replicas=COUNTS,
            strategy=STRATEGIES | st.just(UpdateStrategy("Recreate")),
            paused=st.booleans(),
            min_ready_s=SECONDS,
            revision_history_limit=COUNTS,
            progress_deadline_s=SECONDS,
            status=st.builds(DeploymentStatus, *[COUNTS] * 7, conditions=CONDITIONS),
        )
        | st.builds(
            ReplicaSet,
            **{key: st.just(value) for key, value in shared.items()},
            replicas=COUNTS,
            min_ready_s=SECONDS,
            status=st.builds(ReplicaSetStatus, *[COUNTS] * 5, conditions=CONDITIONS),
        )
        | st.builds(
            DaemonSet,
            **{key: st.just(value) for key, value in shared.items()},
            strategy=STRATEGIES,
            min_ready_s=SECONDS,
            revision_history_limit=COUNTS,
            status=st.builds(DaemonSetStatus, *[COUNTS] * 8),
        )
    )


SERVICES = st.builds(
    Service,
    meta=metas(),
    ports=st.lists(
        st.builds(ServicePort, PORTS, NAMES, PROTOCOLS, st.just(0) | PORTS | NAMES, PORTS),
        min_size=1,
        max_size=3,
        unique_by=(lambda port: port.name, lambda port: port.port),
    ).map(tuple),
    selector=LABELS,
    type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    cluster_ips=st.sampled_from([(), ("None",), ("10.96.0.7",), ("fd00::7", "10.96.0.7")]),
    ip_families=st.sampled_from([(), ("IPv4",), ("IPv6", "IPv4")]),
    ip_family_policy=st.sampled_from(["", "SingleStack", "PreferDualStack", "RequireDualStack"]),
    external_name=NAMES,
    external_ips=many(ADDRESSES),
    session_affinity=st.sampled_from(["None", "ClientIP"]),
    session_affinity_timeout_s=st.integers(1, 86400),
    internal_traffic_policy=st.sampled_from(["Cluster", "Local"]),
    external_traffic_policy=st.sampled_from(["Cluster", "Local"]),
    traffic_distribution=st.sampled_from(["", "PreferClose", "PreferSameZone", "PreferSameNode"]),
    allocate_load_balancer_node_ports=st.booleans(),
    load_balancer_source_ranges=many(ADDRESSES.map(lambda ip: f"{ip}/32")),
    load_balancer_ingress=many(
        st.builds(LoadBalancerIngress, ADDRESSES, EMPTY_OR_NAME, st.sampled_from(["VIP", "Proxy"]))
    ),
    health_check_node_port=st.just(0) | PORTS,
    publish_not_ready_addresses=st.booleans(),
)
SLICES = st.builds(
    EndpointSlice,
    meta=metas(),
    endpoints=many(
        st.builds(
            Endpoint,
            addresses=st.lists(ADDRESSES, min_size=1, max_size=2).map(tuple),
            ready=st.booleans(),
            serving=st.booleans(),
            terminating=st.booleans(),
            node_name=EMPTY_OR_NAME,
            zone=EMPTY_OR_NAME,
            hostname=EMPTY_OR_NAME,
            target=st.none() | st.builds(TargetRef, NAMES, NAMES, EMPTY_OR_NAME),
        ),
        3,
    ),
    ports=many(st.builds(EndpointPort, PORTS, EMPTY_OR_NAME, PROTOCOLS)),
    address_type=st.sampled_from(["IPv4", "IPv6"]),
)
NODES = st.builds(
    Node,
    meta=metas(st.just("")),
    internal_ips=many(ADDRESSES),
    pod_cidrs=st.sampled_from([(), ("10.244.1.0/24",), ("fd00:1::/64", "10.244.1.0/24")]),
    unschedulable=st.booleans(),
    ready=st.booleans(),
    ready_changed_s=SOME_SECONDS,
    taints=st.lists(
        st.builds(Taint, NAMES, st.sampled_from(EFFECTS), EMPTY_OR_NAME, SOME_SECONDS),
        max_size=2,
        unique_by=lambda taint: (taint.key, taint.effect),
    ).map(tuple),
)
PODS = st.builds(Pod, meta=metas(), spec=POD_SPECS, status=POD_STATUSES)


@settings(max_examples=120, deadline=None)
@given(st.one_of(NODES, PODS, workloads(), SERVICES, SLICES))
def test_nothing_is_lost_on_the_way_through_json(item: Object) -> None:
    assert from_manifest(json.loads(json.dumps(to_manifest(item)))) == item


def test_a_manifest_is_what_kubernetes_would_print() -> None:
    service = Service(
        ObjectMeta("web", "default", uid="u1", resource_version=7, creation_s=1.5),
        (ServicePort(80, "http", "TCP", "http", 30080),),
        {"app": "web"},
        "NodePort",
        ("10.96.0.20",),
    )
    assert to_manifest(service) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "7",
        },
        "spec": {
            "type": "NodePort",
            "selector": {"app": "web"},
            "clusterIP": "10.96.0.20",
            "clusterIPs": ["10.96.0.20"],
            "ports": [
                {
                    "name": "http",
                    "protocol": "TCP",
                    "port": 80,
                    "targetPort": "http",
                    "nodePort": 30080,
                }
            ],
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster",
        },
        "testbed": {"creationSeconds": 1.5},
    }


def test_an_endpoint_slice_reads_as_kubernetes_writes_it() -> None:
    item = from_manifest(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "web-abc",
                "labels": {SERVICE_NAME_LABEL: "web"},
                "generation": 3,
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.0.2"], "conditions": {"ready": False}}],
            "ports": [{"name": "", "port": 8080}],
        }
    )
    assert isinstance(item, EndpointSlice)
    assert item.service == ("default", "web")
    assert item.endpoints == (Endpoint(("10.244.0.2",), ready=False, serving=False),)


def pod_with(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "a", **container}]},
    }


def service_with(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec}


def test_kubernetes_fields_that_mean_nothing_here_are_fine() -> None:
    item = from_manifest(pod_with(env=[{"name": "A"}], resources={"limits": {}}, tty=None))
    assert isinstance(item, Pod)
    assert item.meta.namespace == "default"


MISTAKES: list[tuple[Any, list[str]]] = [
    (7, ["must be a mapping, not the number 7"]),
    ({}, ["kind is missing"]),
    ({"kind": "Pods", "apiVersion": "v1"}, ["kind: no kind 'Pods' (did you mean Pod?)"]),
    (
        {"kind": "Service", "apiVersion": "v1"},
        ["metadata is missing", "spec: a service needs at least one port"],
    ),
    (
        service_with(ports=[{"port": "80"}, {"prot": 1}]),
        [
            "spec.ports[0].port: must be a whole number, not the text '80'",
            "spec.ports[1].prot: unknown key 'prot' (did you mean port?)",
            "spec.ports[1]: port is missing",
            "spec.ports[0]: name is missing",
            "spec.ports[1]: name is missing",
        ],
    ),
    (service_with(ports=[{"port": 80}], type="nodePort"), ["did you mean NodePort?"]),
    (service_with(ports=[{"port": 80}], clusterIP="x"), ["spec.clusterIP: 'x' is no address"]),
    (service_with(ports=[{"port": 80}], selector={"a": 1}), ["spec.selector.a: a label is a text"]),
    (
        service_with(ports=[{"port": 80}], trafficDistribution="PreferZone"),
        ["did you mean PreferSameZone?"],
    ),
    (
        service_with(ports=[{"port": 80}], loadBalancerSourceRanges=["10.0.0.0/33", "10.0.0.1/8"]),
        [
            "spec.loadBalancerSourceRanges: '10.0.0.0/33' is no network",
            "spec.loadBalancerSourceRanges: write 10.0.0.1/8 as 10.0.0.0/8",
        ],
    ),
    (
        service_with(ports=[{"port": 80}], externalIPs=["x", "2001:DB8::1"]),
        ["spec.externalIPs: 'x' is no address", "write 2001:DB8::1 as 2001:db8::1"],
    ),
    (service_with(ports=3), ["spec.ports: must be a list, not the number 3"]),
    (service_with(type="ExternalName"), ["spec: externalName is missing"]),
    (
        pod_with(readinessProbe={}),
        ["spec.containers[0].readinessProbe: needs one of httpGet, tcpSocket, exec and grpc"],
    ),
    (pod_with(livenessProbe={"tcpSocket": {}}), ["livenessProbe.tcpSocket: port is missing"]),
    (
        pod_with(livenessProbe={"tcpSocket": {"port": 1}, "periodSeconds": 0}),
        ["livenessProbe.periodSeconds: must be from 0.01 to 1e9 seconds"],
    ),
    (pod_with(ports=[{"hostPort": 80}]), ["containerPort is"]),
    (pod_with(command="ls"), ["spec.containers[0].command: must be a list, not the text 'ls'"]),
    (pod_with(args=[1]), ["spec.containers[0].args[0]: must be a text, not the number 1"]),
]


@pytest.mark.parametrize(("manifest", "expected"), MISTAKES, ids=lambda value: str(value)[-40:])
def test_every_mistake_has_its_path(manifest: Any, expected: list[str]) -> None:
    with pytest.raises(ManifestError) as caught:
        from_manifest(manifest)
    said = [str(mistake) for mistake in caught.value.mistakes]
    assert len(said) == len(expected), said
    assert all(part in text for part, text in zip(expected, said, strict=True)), said


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(NODES, PODS, workloads(), SERVICES, SLICES), JUNK, st.data())
def test_a_spoilt_manifest_is_read_or_explained(
    item: Object, junk: Any, data: st.DataObject
) -> None:
    manifest: Any = to_manifest(item)
    parent = manifest
    while True:
        keys = sorted(parent) if isinstance(parent, dict) else list(range(len(parent)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(parent[key], dict | list) or not parent[key] or data.draw(st.booleans()):
            break
        parent = parent[key]
    parent[key] = junk
    mistakes = None
    try:
        from_manifest(manifest)
    except ManifestError as error:
        mistakes = error.mistakes
    assert mistakes is None or all(mistake.message for mistake in mistakes)


CLIENTS = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "finalizers": ["example.com/hold"],
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u1",
                    "controller": True, "blockOwnerDeletion": True,
                },
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u2"},
            ],
        },
        "spec": {
            "containers": [
                {
                    "name": "web", "image": "echo", "env": [{"name": "A", "value": "1"}],
                    "ports": [
                        {"containerPort": 53, "hostPort": 5353},
                        {"containerPort": 53, "protocol": "UDP"},
                    ],
                },
                {"name": "side", "image": "echo", "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "hostNetwork": True,
        },
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "example.com/gate", "status": "True"},
            ]
        },
    },
    {
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "own", "labels": {"a": "b"}, "generateName": "o"},
        "spec": {"controller": "example.com/own"},
    },
    {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "type": "Opaque", "data": {"k": "dg=="}, "immutable": False,
    },
]  # fmt: skip


def includes(whole: Any, part: Any) -> bool:
    """Whether everything that `part` says is in `whole`."""
    if isinstance(part, dict):
        return all(key in whole and includes(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return all(any(includes(one, item) for one in whole) for item in part)
    return bool(whole == part)


@pytest.mark.parametrize("manifest", CLIENTS, ids=lambda manifest: manifest["kind"])
def test_all_that_a_client_says_comes_back(manifest: Any) -> None:
    item = from_client(manifest)
    shown = to_manifest(item)
    assert includes(shown, manifest)
    assert from_client(shown) == item


def test_what_a_client_says_survives_what_a_controller_does() -> None:
    pod = from_client(CLIENTS[0])
    assert isinstance(pod, Pod)
    moved = to_manifest(replace(pod, spec=replace(pod.spec, node_name="n2")))
    assert moved["spec"]["nodeName"] == "n2"
    assert moved["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]


def test_stamps_are_the_stores_to_give() -> None:
    item = from_client(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "creationTimestamp": None, "resourceVersion": "0", "selfLink": "x"},
        }
    )  # fmt: skip
    assert item.meta.rest == {}
