"""Pods: what they are to be, and how they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from testbed.model.containers import Container, DNSConfig, HostAlias, SecurityContext
from testbed.model.objects.metadata import Condition, Labels, ObjectMeta
from testbed.model.scheduling import PodAffinity, Toleration, TopologySpreadConstraint
from testbed.model.volumes import Volume

SERVICE_TIME_OPTION = "--service-time"
"""In a container's args, of the built-in server: how long it works on a request, as in 20ms."""
SERVER_ANNOTATION = "testbed/server"
"""On a pod: `process` (one server process, the default) or `shared` (one for many pods)."""
REAL_IMAGE = "docker://"
"""How a container's `stands_in` begins where its image is a real one, of the Docker daemon's."""
AWAIT_ANNOTATION = "testbed/await-ready"
"""On a pod: `false` where `up` is not to wait until it is ready, since it never will be."""


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
