"""Kubernetes objects as frozen values: what the store holds and every planner reads.

Field names are Kubernetes' own in snake_case; times are seconds of CLOCK_MONOTONIC (`_s`).
`model.manifest` turns them into and out of Kubernetes' JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, TypeVar

from testbed.model.containers import Container, DNSConfig, HostAlias, SecurityContext
from testbed.model.label_selector import LabelSelector
from testbed.model.scheduling import (
    PodAffinity,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from testbed.model.volumes import Volume

Labels = Mapping[str, str]

ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
ORDINAL_NAMES_ANNOTATION = "testbed/pod-names"
"""On a Deployment: `ordinal` names its pods `web-0`, `web-1`, … (the topology's shorthand)."""
TEMPLATE_HASH_LABEL = "pod-template-hash"
"""On a Deployment's ReplicaSets and their pods: which template they are of."""
SERVICE_TIME_OPTION = "--service-time"
"""In a container's args, of the built-in server: how long it works on a request, as in 20ms."""
SERVER_ANNOTATION = "testbed/server"
"""On a pod: `process` (one server process, the default) or `shared` (one for many pods)."""
REAL_IMAGE = "docker://"
"""How a container's `stands_in` begins where its image is a real one, of the Docker daemon's."""

AWAIT_ANNOTATION = "testbed/await-ready"
"""On a pod: `false` where `up` is not to wait until it is ready, since it never will be."""


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """An object that this one depends on: it is collected once all of them are gone."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    """"": the one that objects of its kind have."""
    controller: bool = True
    """It made the object, or has adopted it."""
    block_owner_deletion: bool = False
    """The owner's foreground deletion waits for this object."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of an object's `status.conditions`."""

    type: str
    status: str = "True"
    """True, False or Unknown."""
    reason: str = ""
    message: str = ""
    changed_s: float | None = None
    """When `status` last changed (lastTransitionTime)."""
    updated_s: float | None = None
    """When it was last said (lastUpdateTime, of a Deployment's conditions)."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Identity of an object; `uid` and `resource_version` are the store's to give."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: int = 0
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)
    creation_s: float = 0.0
    deletion_s: float | None = None
    """When its graceful deletion was asked for; None: it is not terminating."""
    deletion_grace_period_s: float | None = None
    owners: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    """While there are any, a deleted object stays, terminating."""
    generation: int = 0
    """Of what is asked for: the store counts its changes, for kinds with `asked_for`."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """What the object's manifest says that no field here holds (see `model.remainder`)."""

    @property
    def owner(self) -> OwnerReference | None:
        """The controller that made it; None: nobody's."""
        return next((owner for owner in self.owners if owner.controller), None)


class Object(Protocol):
    """Anything the store holds."""

    kind: ClassVar[str]

    @property
    def meta(self) -> ObjectMeta: ...


AnyObject = TypeVar("AnyObject", bound=Object)
T = TypeVar("T")


def with_meta(item: AnyObject, **changes: Any) -> AnyObject:
    """The same object with fields of its metadata changed."""
    return _changed(item, meta=_changed(item.meta, **changes))


def _changed(item: T, **changes: Any) -> T:
    """As `dataclasses.replace`, in half its time: the store does so with every object that it is given."""
    kind: Any = type(item)
    read, places = _fields(kind)
    values = list(read(item))
    for name, value in changes.items():
        values[places[name]] = value
    changed: T = kind(*values)
    return changed


@cache
def _fields(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
    """What reads all fields of a dataclass at once, and the place of each."""
    names = [field.name for field in fields(kind)]
    places = {name: place for place, name in enumerate(names)}
    if len(names) == 1:
        return lambda item: (getattr(item, names[0]),), places
    return attrgetter(*names), places


def name_of(item: Object) -> str:
    """`namespace/name`, or the name of an object that has no namespace."""
    return f"{item.meta.namespace}/{item.meta.name}" if item.meta.namespace else item.meta.name


# Node


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    kind: ClassVar[str] = "Node"
    meta: ObjectMeta
    internal_ips: tuple[str, ...] = ()
    """One per IP family, the cluster's primary family first."""
    pod_cidrs: tuple[str, ...] = ()
    unschedulable: bool = False
    ready: bool = False
    """The Ready condition."""
    unreachable: bool = False
    """It is Unknown: the node's kubelet has not been heard of for too long."""
    ready_changed_s: float | None = None
    taints: tuple[Taint, ...] = ()

    @property
    def internal_ip(self) -> str:
        """Its address of the primary family; "" where it has none."""
        return next(iter(self.internal_ips), "")

    @property
    def pod_cidr(self) -> str:
        """Its pods' range of the primary family; "" where it has none."""
        return next(iter(self.pod_cidrs), "")


# Pod


@dataclass(frozen=True, slots=True)
class NodeSelectorRequirement:
    key: str
    operator: str
    """In, NotIn, Exists, DoesNotExist, Gt or Lt."""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelectorTerm:
    """All its requirements hold; `match_fields` knows `metadata.name`."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class PreferredSchedulingTerm:
    weight: int
    preference: NodeSelectorTerm


@dataclass(frozen=True, slots=True)
class NodeAffinity:
    """`required`: one of the terms holds (empty: no restriction)."""

    required: tuple[NodeSelectorTerm, ...] = ()
    preferred: tuple[PreferredSchedulingTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    containers: tuple[Container, ...]
    node_name: str = ""
    node_selector: Labels = field(default_factory=dict)
    node_affinity: NodeAffinity | None = None
    restart_policy: str = "Always"
    termination_grace_period_s: float = 30.0
    dns_policy: str = "ClusterFirst"
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    host_network: bool = False
    """Its containers are in the node's own network namespace."""
    hostname: str = ""
    subdomain: str = ""
    set_hostname_as_fqdn: bool = False
    host_aliases: tuple[HostAlias, ...] = ()
    dns_config: DNSConfig | None = None
    enable_service_links: bool = True
    security_context: SecurityContext | None = None
    active_deadline_s: float | None = None
    """The pod fails when it has run for this long."""
    service_account_name: str = ""
    readiness_gates: tuple[str, ...] = ()
    """Types of conditions that must be True as well for the pod to be ready."""
    tolerations: tuple[Toleration, ...] = ()
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None
    topology_spread: tuple[TopologySpreadConstraint, ...] = ()
    scheduling_gates: tuple[str, ...] = ()
    """While there are any, the pod is not scheduled."""


@dataclass(frozen=True, slots=True)
class Termination:
    """How a run of a container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    """What it left in its termination message file, or why it could not be started."""
    started_s: float | None = None
    finished_s: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    name: str
    ready: bool = False
    restart_count: int = 0
    state: str = "waiting"
    """waiting, running or terminated."""
    reason: str = ""
    exit_code: int | None = None
    """Of the run that is over: the present one where `state` is terminated, else the last one."""
    started_s: float | None = None
    message: str = ""
    image: str = ""
    stands_in: str = ""
    """What runs in the name of the image; "" before anything did."""
    started: bool | None = None
    """Its startup probe, if it has one, has succeeded."""
    finished_s: float | None = None
    last: Termination | None = None
    """Of its run before this one."""


@dataclass(frozen=True, slots=True)
class PodStatus:
    phase: str = "Pending"
    pod_ips: tuple[str, ...] = ()
    """One per IP family, the cluster's primary family first."""
    ready: bool = False
    """The Ready condition."""
    ready_changed_s: float | None = None
    scheduled: bool = False
    reason: str = ""
    """Why it is where it is: Unschedulable, Evicted, CrashLoopBackOff, …"""
    message: str = ""
    containers: tuple[ContainerStatus, ...] = ()
    init_containers: tuple[ContainerStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """Those that somebody else has written: readiness gates."""
    host_ips: tuple[str, ...] = ()
    started_s: float | None = None
    """When its kubelet took it on."""

    @property
    def pod_ip(self) -> str:
        """Its address of the primary family; "" before it has one."""
        return next(iter(self.pod_ips), "")


@dataclass(frozen=True, slots=True)
class Pod:
    kind: ClassVar[str] = "Pod"
    meta: ObjectMeta
    spec: PodSpec
    status: PodStatus = PodStatus()


# Deployment, ReplicaSet and DaemonSet


@dataclass(frozen=True, slots=True)
class PodTemplate:
    labels: Labels
    spec: PodSpec
    annotations: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    """`max_surge` and `max_unavailable`: a number of pods, or a share of them as in "25%"."""

    max_surge: int | str
    max_unavailable: int | str


@dataclass(frozen=True, slots=True)
class UpdateStrategy:
    """How pods of an old template are replaced."""

    type: str = "RollingUpdate"
    """RollingUpdate; of a Deployment also Recreate, of a DaemonSet also OnDelete."""
    rolling_update: RollingUpdate = RollingUpdate("25%", "25%")


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    collision_count: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    kind: ClassVar[str] = "Deployment"
    asked_for: ClassVar[tuple[str, ...]] = (
        "replicas",
        "selector",
        "template",
        "strategy",
        "paused",
        "min_ready_s",
        "revision_history_limit",
        "progress_deadline_s",
    )
    meta: ObjectMeta
    replicas: int
    selector: LabelSelector
    template: PodTemplate
    strategy: UpdateStrategy = UpdateStrategy()
    paused: bool = False
    min_ready_s: float = 0.0
    revision_history_limit: int = 10
    progress_deadline_s: float = 600.0
    status: DeploymentStatus = DeploymentStatus()


@dataclass(frozen=True, slots=True)
class ReplicaSetStatus:
    observed_generation: int = 0
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    kind: ClassVar[str] = "ReplicaSet"
    asked_for: ClassVar[tuple[str, ...]] = ("replicas", "selector", "template", "min_ready_s")
    meta: ObjectMeta
    replicas: int
    selector: LabelSelector
    template: PodTemplate
    min_ready_s: float = 0.0
    status: ReplicaSetStatus = ReplicaSetStatus()


@dataclass(frozen=True, slots=True)
class DaemonSetStatus:
    observed_generation: int = 0
    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_unavailable: int = 0


@dataclass(frozen=True, slots=True)
class DaemonSet:
    kind: ClassVar[str] = "DaemonSet"
    asked_for: ClassVar[tuple[str, ...]] = (
        "selector",
        "template",
        "strategy",
        "min_ready_s",
        "revision_history_limit",
    )
    meta: ObjectMeta
    selector: LabelSelector
    template: PodTemplate
    strategy: UpdateStrategy = UpdateStrategy(rolling_update=RollingUpdate(0, 1))
    min_ready_s: float = 0.0
    revision_history_limit: int = 10
    status: DaemonSetStatus = DaemonSetStatus()


# Service and EndpointSlice


@dataclass(frozen=True, slots=True)
class ServicePort:
    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str = 0
    """A number, or the name of a container port; 0 means: as `port`."""
    node_port: int = 0
    """0: none (yet)."""


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    ip: str = ""
    hostname: str = ""
    ip_mode: str = "VIP"


@dataclass(frozen=True, slots=True)
class Service:
    """`cluster_ips` is empty until allocated and ("None",) for a headless service."""

    kind: ClassVar[str] = "Service"
    meta: ObjectMeta
    ports: tuple[ServicePort, ...] = ()
    selector: Labels = field(default_factory=dict)
    type: str = "ClusterIP"
    cluster_ips: tuple[str, ...] = ()
    """One per family of `ip_families`, in that order."""
    ip_families: tuple[str, ...] = ()
    """IPv4, IPv6; empty until allocated, and for an ExternalName service."""
    ip_family_policy: str = ""
    """SingleStack, PreferDualStack or RequireDualStack; "" until allocated."""
    external_name: str = ""
    external_ips: tuple[str, ...] = ()
    session_affinity: str = "None"
    session_affinity_timeout_s: int = 10800
    internal_traffic_policy: str = "Cluster"
    external_traffic_policy: str = "Cluster"
    load_balancer_source_ranges: tuple[str, ...] = ()
    load_balancer_ingress: tuple[LoadBalancerIngress, ...] = ()
    health_check_node_port: int = 0
    allocate_load_balancer_node_ports: bool = True
    publish_not_ready_addresses: bool = False
    traffic_distribution: str = ""
    """PreferSameZone, PreferClose (the same), PreferSameNode; "": none."""
    load_balancer_ip: str = ""
    """What a provider is asked for, where it heeds that (deprecated); "": any."""
    load_balancer_class: str = ""
    """Whose business it is, if it is a load balancer; "": the default's."""

    @property
    def cluster_ip(self) -> str:
        """Its primary cluster address: "" until allocated, "None" for a headless service."""
        return next(iter(self.cluster_ips), "")

    @property
    def headless(self) -> bool:
        return self.cluster_ip == "None"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """The pod behind an endpoint."""

    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod of a slice; conditions follow Kubernetes (`ready` implies serving and not terminating)."""

    addresses: tuple[str, ...]
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node_name: str = ""
    zone: str = ""
    hostname: str = ""
    target: TargetRef | None = None
    for_zones: tuple[str, ...] = ()
    """hints.forZones: who should use it; empty: no hint."""
    for_nodes: tuple[str, ...] = ()
    """hints.forNodes, likewise."""


@dataclass(frozen=True, slots=True)
class EndpointPort:
    port: int
    name: str = ""
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """Endpoints of the service that label `kubernetes.io/service-name` names."""

    kind: ClassVar[str] = "EndpointSlice"
    meta: ObjectMeta
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    address_type: str = "IPv4"

    @property
    def service(self) -> tuple[str, str]:
        """(namespace, name) of its service; the name is "" where the label is missing."""
        return self.meta.namespace, self.meta.labels.get(SERVICE_NAME_LABEL, "")


KINDS: dict[str, type] = {
    kind.kind: kind
    for kind in (Node, Pod, Deployment, ReplicaSet, DaemonSet, Service, EndpointSlice)
}
