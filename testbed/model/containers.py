"""A pod's containers as frozen values: what they run, with what environment, how one looks after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from testbed.model.spelled import Spelled
from testbed.model.volumes import (
    KeySelector,
    ObjectFieldSelector,
    ResourceFieldSelector,
    VolumeMount,
)

# How a container is asked, or told


@dataclass(frozen=True, slots=True)
class HTTPHeader(Spelled):
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class HTTPGetAction(Spelled):
    """`host` is the pod's address where it is ""."""

    path: str = "/"
    port: int | str = 80
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class TCPSocketAction(Spelled):
    port: int | str = 80
    host: str = ""


@dataclass(frozen=True, slots=True)
class ExecAction(Spelled):
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GRPCAction(Spelled):
    """The gRPC health checking protocol."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class SleepAction(Spelled):
    seconds: int


Asking = HTTPGetAction | TCPSocketAction | ExecAction | GRPCAction


@dataclass(frozen=True, slots=True)
class Probe:
    """A readiness, liveness or startup probe with Kubernetes' defaults."""

    action: Asking
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_s: float | None = None
    """Instead of the pod's, for a container that fails it."""


@dataclass(frozen=True, slots=True)
class LifecycleHandler(Spelled):
    """One of them is set."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None

    @property
    def action(self) -> ExecAction | HTTPGetAction | SleepAction | None:
        """What is done; tcpSocket, which Kubernetes no longer acts on, is nothing."""
        return self.exec or self.http_get or self.sleep


@dataclass(frozen=True, slots=True)
class Lifecycle(Spelled):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


# What it finds around it


@dataclass(frozen=True, slots=True)
class EnvVarSource(Spelled):
    """One of them is set."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None


@dataclass(frozen=True, slots=True)
class EnvVar(Spelled):
    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


@dataclass(frozen=True, slots=True)
class EnvSource(Spelled):
    name: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EnvFromSource(Spelled):
    """All keys of a ConfigMap or a Secret."""

    prefix: str = ""
    config_map_ref: EnvSource | None = None
    secret_ref: EnvSource | None = None


@dataclass(frozen=True, slots=True)
class SecurityContext(Spelled):
    """Of a pod, or of one container, which then says it for itself."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceRequirements(Spelled):
    """Quantities; nobody is held to them, a container may read them (resourceFieldRef)."""

    limits: Mapping[str, str | int | float] = field(default_factory=dict)
    requests: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    container_port: int
    name: str = ""
    protocol: str = "TCP"
    host_port: int = 0
    """Of the node, which passes on what comes there; 0: none."""
    host_ip: str = ""
    """The node's address that it is on; "": all."""


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str
    ports: tuple[ContainerPort, ...] = ()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    security_context: SecurityContext | None = None
    resources: ResourceRequirements | None = None
    image_pull_policy: str = ""
    """Where it is not what goes with the image's tag."""
    restart_policy: str = ""
    """Of an init container: `Always` makes it one that runs beside the others (a sidecar)."""
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False

    @property
    def sidecar(self) -> bool:
        return self.restart_policy == "Always"

    @property
    def pull_policy(self) -> str:
        """Always, IfNotPresent or Never."""
        return self.image_pull_policy or default_pull_policy(self.image)


def default_pull_policy(image: str) -> str:
    """What a container that does not say has. Source: pkg/apis/core/v1/defaults.go."""
    return "Always" if tag_of(image) == "latest" else "IfNotPresent"


def tag_of(image: str) -> str:
    """`nginx` -> `latest`; a digest needs no tag."""
    name, at, _digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or ("" if at else "latest")


# What a pod's libc reads


@dataclass(frozen=True, slots=True)
class HostAlias(Spelled):
    """A line of /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DNSConfigOption(Spelled):
    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class DNSConfig(Spelled):
    """Added to what `dnsPolicy` says."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[DNSConfigOption, ...] = ()
