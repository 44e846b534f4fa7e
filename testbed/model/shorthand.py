"""A topology's shorthand as the Kubernetes objects it stands for: what `testbed render` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from testbed.errors import UsageError
from testbed.model import fakes
from testbed.model.addressing import NodeAddress, dns_ips, plan_addresses
from testbed.model.allocation import allocate_all
from testbed.model.container_read import probe
from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Lifecycle, Probe
from testbed.model.corefile_text import HEALTH_PORT, READY_PORT, corefile_text, has_page
from testbed.model.dns import DNS
from testbed.model.documents import ConfigMap
from testbed.model.fields import Fields, Mistake
from testbed.model.ingress_objects import ingress_objects
from testbed.model.label_selector import LabelSelector
from testbed.model.manifest import ManifestError, from_manifest
from testbed.model.network import Network
from testbed.model.node_local import node_local_objects
from testbed.model.objects.metadata import Labels, Object, ObjectMeta
from testbed.model.objects.nodes import HOSTNAME_LABEL, ZONE_LABEL, Node
from testbed.model.objects.pods import SERVER_ANNOTATION, SERVICE_TIME_OPTION, NodeAffinity, PodSpec
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import ORDINAL_NAMES_ANNOTATION, Deployment, PodTemplate
from testbed.model.pod_dns import pod_dns
from testbed.model.pod_read import node_affinity
from testbed.model.scheduling import PodAffinity
from testbed.model.service import PortSpec, ServiceSpec
from testbed.model.spelled import one
from testbed.model.topology import NodeSpec, Topology
from testbed.model.workload import Workload
from testbed.model.workload_read import deployment_strategy

T = TypeVar("T")
DNS_NAMESPACE = "kube-system"
DNS_IMAGE = "testbed/dns"
DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_PORT = 53
COREFILE_MAP, COREFILE_KEY = "coredns", "Corefile"
"""The ConfigMap that holds the DNS servers' Corefile, and under which key."""
PORT_NAME = "main"
"""Name of the one port of a workload's container."""
HEALTH_PATH = "/healthz"
"""What a probe without an action asks for; the echo server answers it."""


def expand(topology: Topology) -> tuple[Object, ...]:
    """All objects of a topology: nodes, DNS, workloads, services, then manifests, in their order.

    Cluster addresses and node ports that the topology leaves open stay open (`model.allocation`).
    Raises UsageError for manifests that are still file names (the loader reads those) and
    ManifestError for those that are no objects.
    """
    addresses = plan_addresses(topology)
    return (
        *(node(one.name, one.spec, addresses.nodes[one.name]) for one in fakes.nodes(topology)),
        *dns_objects(topology.dns, topology.network, topology.timing.probe_period_s),
        *ingress_objects(
            topology.ingress, topology.timing.probe_period_s, len(topology.network.families)
        ),
        *(
            deployment(one.name, one.spec, topology.timing.probe_period_s)
            for one in fakes.workloads(topology)
        ),
        *(
            service(one.name, one.spec, topology.workloads.get(one.key))
            for one in fakes.services(topology)
        ),
        *_manifests(topology),
    )


def expand_allocated(topology: Topology) -> tuple[Object, ...]:
    """As `expand`, every service with its cluster address and node ports."""
    items = expand(topology)
    services = [item for item in items if isinstance(item, Service)]
    allocated = iter(allocate_all(services, topology.network.service_cidrs))
    return tuple(next(allocated) if isinstance(item, Service) else item for item in items)


def node(name: str, spec: NodeSpec, address: NodeAddress) -> Node:
    """The Node object, not ready yet."""
    zone = {ZONE_LABEL: spec.zone} if spec.zone else {}
    return Node(
        meta=ObjectMeta(
            name,
            labels={
                HOSTNAME_LABEL: name,
                **zone,
                **(fakes.NODE_LABELS if spec.fake else {}),
                **spec.labels,
            },
            annotations=fakes.NODE_ANNOTATIONS if spec.fake else {},
        ),
        internal_ips=address.ips,
        pod_cidrs=address.pod_cidrs,
        unschedulable=spec.unschedulable,
        taints=(fakes.TAINT,) if spec.fake else (),
    )


def dns_objects(dns: DNS, network: Network, probe_period_s: float) -> Iterator[Object]:
    """CoreDNS' Deployment and ConfigMap and the service kube-dns; nothing where `replicas` is 0."""
    if not dns.replicas:
        return
    corefile = corefile_text(dns) if dns.server.program in ("", "coredns") else ""
    if corefile:
        data = {"data": {COREFILE_KEY: corefile}}
        yield ConfigMap(ObjectMeta(COREFILE_MAP, DNS_NAMESPACE, rest=data))
    ports = (ContainerPort(DNS_PORT, "dns", "UDP"), ContainerPort(DNS_PORT, "dns-tcp", "TCP"))
    container = Container(
        "coredns",
        DNS_IMAGE,
        ports,
        readiness_probe=_page_probe(corefile, "ready", READY_PORT, probe_period_s),
        liveness_probe=_page_probe(corefile, "health", HEALTH_PORT, probe_period_s),
    )
    yield Deployment(
        meta=_deployment_meta("coredns", DNS_NAMESPACE, DNS_LABELS),
        replicas=dns.replicas,
        selector=LabelSelector(DNS_LABELS),
        # A DNS pod uses the node's resolver, not itself.
        template=PodTemplate(DNS_LABELS, PodSpec((container,), dns_policy="Default")),
    )
    yield Service(
        meta=ObjectMeta("kube-dns", DNS_NAMESPACE, labels=DNS_LABELS),
        ports=(
            ServicePort(DNS_PORT, "dns", "UDP", DNS_PORT),
            ServicePort(DNS_PORT, "dns-tcp", "TCP", DNS_PORT),
        ),
        selector=DNS_LABELS,
        cluster_ips=dns_ips(network.service_cidrs),
        ip_family_policy="PreferDualStack" if len(network.families) > 1 else "SingleStack",
    )
    if dns.node_local is not None:
        yield from node_local_objects(dns.node_local, network.families, DNS_LABELS)


def _page_probe(corefile: str, plugin: str, port: int, period_s: float) -> Probe | None:
    """Kubeadm's, of the page that a plug-in shows, if it does."""
    if not has_page(corefile, plugin, port):
        return None
    asked = HTTPGetAction(f"/{plugin}", port)
    if plugin == "ready":
        return Probe(asked, period_s=period_s)
    return Probe(asked, initial_delay_s=60.0, period_s=period_s, timeout_s=5.0, failure_threshold=5)


def deployment(name: str, workload: Workload, probe_period_s: float) -> Deployment:
    """The Deployment that a workload is short for."""
    selector = {"app": name}
    server = {} if workload.server == "process" else {SERVER_ANNOTATION: workload.server}
    return Deployment(
        meta=_deployment_meta(name, workload.namespace, selector),
        replicas=workload.replicas,
        selector=LabelSelector(selector),
        template=PodTemplate(
            {**workload.labels, **selector}, _pod_spec(name, workload, probe_period_s), server
        ),
        strategy=_read(workload.strategy, "strategy", deployment_strategy),
        min_ready_s=workload.min_ready_s,
    )


def _deployment_meta(name: str, namespace: str, labels: Labels) -> ObjectMeta:
    return ObjectMeta(
        name, namespace, labels=labels, annotations={ORDINAL_NAMES_ANNOTATION: "ordinal"}
    )


def service_time_args(service_time_s: float) -> tuple[str, ...]:
    """What tells the built-in server how long it works on a request."""
    return (SERVICE_TIME_OPTION, f"{service_time_s:g}s") if service_time_s else ()


def _pod_spec(name: str, workload: Workload, probe_period_s: float) -> PodSpec:
    container = Container(
        name=name,
        image=workload.image,
        ports=(ContainerPort(workload.port, PORT_NAME, workload.protocol),),
        args=service_time_args(workload.service_time_s),
        readiness_probe=workload_probe(workload, "readinessProbe", probe_period_s),
        liveness_probe=workload_probe(workload, "livenessProbe", probe_period_s),
        lifecycle=_read({"lifecycle": workload.lifecycle}, "", _lifecycle),
    )
    # By its label and not by nodeName, as the scheduler is part of what is emulated.
    pinned = {HOSTNAME_LABEL: workload.node} if workload.node else {}
    affinity = _read(workload.affinity, "affinity", _affinity)
    dns = _read({"dnsPolicy": workload.dns_policy, "dnsConfig": workload.dns_config}, "", pod_dns)
    return PodSpec(
        containers=(container,),
        node_selector={
            **(fakes.NODE_LABELS if workload.fake else {}),
            **workload.node_selector,
            **pinned,
        },
        node_affinity=affinity.nodes,
        pod_affinity=affinity.pods,
        pod_anti_affinity=affinity.other_pods,
        tolerations=(fakes.TOLERATION,) if workload.fake else (),
        termination_grace_period_s=workload.termination_grace_period_s,
        dns_policy=dns.policy,
        dns_config=dns.config,
    )


def workload_probe(workload: Workload, key: str, probe_period_s: float) -> Probe | None:
    """The workload's probe at `key`, completed. Raises ManifestError, paths from the workload."""
    written = workload.readiness_probe if key == "readinessProbe" else workload.liveness_probe
    if written is None:
        return None
    completed = dict(written)
    completed.setdefault("periodSeconds", probe_period_s)
    if not completed.keys() & {"httpGet", "tcpSocket", "exec", "grpc"}:
        completed["httpGet"] = {"path": HEALTH_PATH, "port": workload.port}
    return _read({key: completed}, "", lambda fields: probe(fields, key))


def _lifecycle(fields: Fields) -> Lifecycle | None:
    return one(fields, "lifecycle", Lifecycle)


def _read(written: Mapping[str, Any] | None, key: str, read: Callable[[Fields], T]) -> T:
    """What is written at a workload's key ("": in the workload). Raises ManifestError, paths from the
    workload.
    """
    mistakes: list[Mistake] = []
    found = read(Fields(written, (key,) if key else (), mistakes))
    if mistakes:
        raise ManifestError(tuple(mistakes))
    return found


@dataclass(frozen=True, slots=True)
class _Affinity:
    """What a workload's pods are drawn to, and kept from."""

    nodes: NodeAffinity | None
    pods: PodAffinity | None
    other_pods: PodAffinity | None


def _affinity(fields: Fields) -> _Affinity:
    fields.only(("nodeAffinity", "podAffinity", "podAntiAffinity"), ())
    return _Affinity(
        node_affinity(fields.child("nodeAffinity")) if fields.has("nodeAffinity") else None,
        one(fields, "podAffinity", PodAffinity),
        one(fields, "podAntiAffinity", PodAffinity),
    )


def service(name: str, spec: ServiceSpec, workload: Workload | None) -> Service:
    """The Service object; ports and selector default to those of the workload of that name."""
    own = workload if spec.selector is None else None
    selector = spec.selector
    if selector is None:
        selector = {} if spec.kind == "ExternalName" else {"app": name}
    return Service(
        meta=ObjectMeta(name, spec.namespace, annotations=dict(spec.annotations)),
        ports=tuple(_service_port(port, spec, own) for port in spec.all_ports),
        selector=selector,
        type=spec.kind,
        cluster_ips=spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ()),
        ip_families=spec.ip_families,
        ip_family_policy=spec.ip_family_policy or "",
        external_name=spec.external_name,
        external_ips=spec.external_ips,
        session_affinity=spec.session_affinity,
        session_affinity_timeout_s=spec.session_affinity_config.client_ip.timeout_seconds,
        internal_traffic_policy=spec.internal_traffic_policy,
        external_traffic_policy=spec.external_traffic_policy,
        load_balancer_source_ranges=spec.load_balancer_source_ranges,
        health_check_node_port=spec.health_check_node_port or 0,
        allocate_load_balancer_node_ports=spec.allocate_load_balancer_node_ports,
        publish_not_ready_addresses=spec.publish_not_ready_addresses,
        traffic_distribution=spec.traffic_distribution or "",
        load_balancer_ip=spec.load_balancer_ip,
        load_balancer_class=spec.load_balancer_class,
    )


def _service_port(port: PortSpec, spec: ServiceSpec, workload: Workload | None) -> ServicePort:
    protocol = port.protocol
    if not spec.ports and spec.protocol is None and workload is not None:
        protocol = workload.protocol
    target: int | str = port.target_port or (workload.port if workload else port.port)
    return ServicePort(port.port, port.name, protocol, target, port.node_port or 0)


def _manifests(topology: Topology) -> Iterator[Object]:
    for manifest in topology.manifests:
        if isinstance(manifest, str):
            raise UsageError(f"manifest {manifest} has not been read", "load the topology's file")
        yield from_manifest(with_probe_period(manifest, topology.timing.probe_period_s))


def with_probe_period(manifest: Mapping[str, Any], period_s: float) -> Mapping[str, Any]:
    """The manifest with `periodSeconds` in every probe that does not say its own."""
    spec = manifest.get("spec")
    if not isinstance(spec, Mapping):
        return manifest
    if isinstance(spec.get("template"), Mapping):
        template = with_probe_period(spec["template"], period_s)
        return {**manifest, "spec": {**spec, "template": template}}
    containers = spec.get("containers")
    if not isinstance(containers, list):
        return manifest
    completed = [_with_period(container, period_s) for container in containers]
    return {**manifest, "spec": {**spec, "containers": completed}}


def _with_period(container: Any, period_s: float) -> Any:
    if not isinstance(container, Mapping):
        return container
    probes = {
        key: {"periodSeconds": period_s, **written}
        for key in ("readinessProbe", "livenessProbe")
        if isinstance(written := container.get(key), Mapping)
    }
    return {**container, **probes}
