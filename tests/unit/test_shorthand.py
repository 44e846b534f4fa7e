"""The objects that a topology's shorthand stands for."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.model.containers import (
    DNSConfig,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from testbed.model.documents import ConfigMap
from testbed.model.label_selector import LabelSelector
from testbed.model.manifest import from_manifest, to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import HOSTNAME_LABEL, ZONE_LABEL, Node
from testbed.model.objects.pods import SERVER_ANNOTATION, Pod
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import ORDINAL_NAMES_ANNOTATION, Deployment, RollingUpdate
from testbed.model.scheduling import PodAffinityTerm
from testbed.model.shorthand import expand, expand_allocated
from testbed.model.topology import Topology


def objects(**sections: Any) -> tuple[Object, ...]:
    sections = {"nodes": {"n1": {}}, "dns": {"replicas": 0}, **sections}
    return expand(Topology.model_validate({"name": "lab", **sections}))


def deployment(**workload: Any) -> Deployment:
    found = objects(workloads={"web": workload}, timing={"probePeriod": "2s"})[1]
    assert isinstance(found, Deployment)
    return found


def service(workload: dict[str, Any] | None = None, **written: Any) -> Service:
    workloads = {} if workload is None else {"web": workload}
    found = objects(workloads=workloads, services={"web": written})[-1]
    assert isinstance(found, Service)
    return found


def test_a_node_has_its_addresses_zone_and_name_as_labels() -> None:
    (node,) = objects(nodes={"n1": {"zone": "b", "labels": {"disk": "ssd"}}})
    assert isinstance(node, Node)
    assert node.meta.labels == {HOSTNAME_LABEL: "n1", ZONE_LABEL: "b", "disk": "ssd"}
    assert (node.internal_ip, node.pod_cidr, node.ready) == ("172.18.0.2", "10.244.0.0/24", False)


def test_a_workload_is_a_deployment_with_ordinal_names() -> None:
    web = deployment(replicas=3, port=8000, labels={"tier": "front"}, server="shared")
    assert (web.replicas, web.selector.match_labels) == (3, {"app": "web"})
    assert web.meta.annotations == {ORDINAL_NAMES_ANNOTATION: "ordinal"}
    assert web.template.labels == {"tier": "front", "app": "web"}
    assert web.template.annotations == {SERVER_ANNOTATION: "shared"}
    (port,) = web.template.spec.containers[0].ports
    assert (port.container_port, port.protocol) == (8000, "TCP")


def test_a_workloads_node_is_a_label_that_the_scheduler_honours() -> None:
    spec = deployment(node="n1", nodeSelector={"disk": "ssd"}).template.spec
    assert spec.node_name == ""
    assert spec.node_selector == {"disk": "ssd", HOSTNAME_LABEL: "n1"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        ({}, Probe(HTTPGetAction("/healthz", 8080), period_s=2)),
        ({"httpGet": {"path": "/x", "port": 81}}, Probe(HTTPGetAction("/x", 81), period_s=2)),
        ({"periodSeconds": 0.5}, Probe(HTTPGetAction("/healthz", 8080), period_s=0.5)),
    ],
)
def test_a_probe_is_completed(written: dict[str, Any] | None, expected: Probe | None) -> None:
    web = deployment(readinessProbe=written)
    assert web.template.spec.containers[0].readiness_probe == expected


def test_a_service_takes_port_protocol_and_labels_from_its_workload() -> None:
    web = service({"port": 8000, "protocol": "UDP"}, port=80)
    assert web.selector == {"app": "web"}
    assert web.ports == (ServicePort(80, "", "UDP", 8000),)


def test_a_service_says_otherwise() -> None:
    web = service(
        {"port": 8000},
        ports=[{"name": "a", "port": 80, "targetPort": 81}, {"name": "b", "port": 90}],
        selector={"app": "web"},
        clusterIP="None",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}},
    )
    assert web.ports == (ServicePort(80, "a", "TCP", 81), ServicePort(90, "b", "TCP", 90))
    assert web.headless
    assert (web.session_affinity, web.session_affinity_timeout_s) == ("ClientIP", 5)


def test_a_load_balancer_in_short() -> None:
    web = service(
        {"port": 8000},
        port=80,
        type="LoadBalancer",
        externalTrafficPolicy="Local",
        healthCheckNodePort=30500,
        loadBalancerSourceRanges=["203.0.113.0/24"],
        allocateLoadBalancerNodePorts=False,
        externalIPs=["198.51.100.7"],
        trafficDistribution="PreferSameNode",
    )
    assert (web.type, web.external_traffic_policy) == ("LoadBalancer", "Local")
    assert (web.health_check_node_port, web.allocate_load_balancer_node_ports) == (30500, False)
    assert web.load_balancer_source_ranges == ("203.0.113.0/24",)
    assert (web.external_ips, web.traffic_distribution) == (("198.51.100.7",), "PreferSameNode")


def test_an_external_name_selects_nothing() -> None:
    web = service(externalName="example.org")
    assert (web.type, web.selector, web.ports) == ("ExternalName", {}, ())


def test_dns_is_a_deployment_behind_the_tenth_service_address() -> None:
    _, corefile, coredns, kube_dns = objects(dns={"replicas": 2})
    assert isinstance(corefile, ConfigMap)
    assert "kubernetes cluster.local" in corefile.body["data"]["Corefile"]
    assert isinstance(coredns, Deployment)
    assert isinstance(kube_dns, Service)
    assert (coredns.meta.namespace, coredns.replicas) == ("kube-system", 2)
    assert coredns.template.spec.dns_policy == "Default"
    assert kube_dns.cluster_ip == "10.96.0.10"
    assert kube_dns.selector.items() <= coredns.template.labels.items()
    assert [(port.name, port.port, port.protocol) for port in kube_dns.ports] == [
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
    ]


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ({}, HTTPGetAction(path="/healthz", port=8080)),
        ({"tcpSocket": {"port": 1}}, TCPSocketAction(port=1)),
        ({"exec": {"command": ["ls"]}}, ExecAction(command=("ls",))),
        ({"grpc": {"port": 2}}, GRPCAction(port=2)),
    ],
)
def test_a_workloads_probe_asks_for_the_health_page_unless_it_says_what(
    written: dict[str, Any], action: object
) -> None:
    found = objects(workloads={"web": {"livenessProbe": written}})
    (web,) = (one for one in found if isinstance(one, Deployment) and one.meta.name == "web")
    probe = web.template.spec.containers[0].liveness_probe
    assert probe is not None
    assert probe.action == action


def test_a_manifests_probe_has_the_topologys_period_unless_it_says_its_own() -> None:
    def container(name: str, **probe: Any) -> dict[str, Any]:
        return {"name": name, "image": name, "livenessProbe": {"tcpSocket": {"port": 1}, **probe}}

    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [container("a"), container("b", periodSeconds=7)]},
    }
    pod = objects(manifests=[manifest], timing={"probePeriod": "3s"})[-1]
    assert isinstance(pod, Pod)
    periods = [item.liveness_probe and item.liveness_probe.period_s for item in pod.spec.containers]
    assert periods == [3, 7]


def test_a_manifest_that_is_still_a_file_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"shop\.yaml has not been read"):
        objects(manifests=["shop.yaml"])


def test_allocated_objects_survive_the_way_through_json() -> None:
    topology = Topology.model_validate(
        {
            "name": "lab",
            "nodes": {"n1": {}},
            "workloads": {"web": {"readinessProbe": {}}},
            "services": {"web": {"port": 80, "type": "NodePort"}},
        }
    )
    allocated = expand_allocated(topology)
    assert [type(item) for item in allocated] == [type(item) for item in expand(topology)]
    web = allocated[-1]
    assert isinstance(web, Service)
    assert web.cluster_ip
    assert web.ports[0].node_port
    assert tuple(from_manifest(to_manifest(item)) for item in allocated) == allocated


def test_how_a_workload_is_updated_and_its_pods_end() -> None:
    web = deployment(
        strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": "10%"}},
        minReadySeconds="3s",
        lifecycle={"preStop": {"sleep": {"seconds": 5}}},
    )
    assert web.strategy.rolling_update == RollingUpdate(2, "10%")
    assert web.min_ready_s == 3.0
    hooks = web.template.spec.containers[0].lifecycle
    assert hooks is not None
    assert hooks.pre_stop is not None
    assert hooks.pre_stop.action == SleepAction(5)
    assert deployment(strategy={"type": "Recreate"}).strategy.type == "Recreate"


def test_whom_a_workloads_pods_ask_for_names() -> None:
    options = [{"name": "ndots", "value": "2"}, {"name": "rotate"}]
    spec = deployment(dnsConfig={"options": options}).template.spec
    assert spec.dns_policy == "ClusterFirst"
    assert spec.dns_config is not None
    assert [(one.name, one.value) for one in spec.dns_config.options] == [
        ("ndots", "2"),
        ("rotate", None),
    ]
    own = deployment(dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.53"]}).template.spec
    assert (own.dns_policy, own.dns_config) == ("None", DNSConfig(("192.0.2.53",)))


def test_a_workloads_pods_may_be_kept_apart() -> None:
    term = {"topologyKey": HOSTNAME_LABEL, "labelSelector": {"matchLabels": {"app": "web"}}}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    spec = deployment(affinity={"podAntiAffinity": required}).template.spec
    assert spec.node_affinity is None
    assert spec.pod_anti_affinity is not None
    (found,) = spec.pod_anti_affinity.required
    assert found == PodAffinityTerm(HOSTNAME_LABEL, LabelSelector({"app": "web"}))
