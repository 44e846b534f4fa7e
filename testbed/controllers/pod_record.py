"""What a kubelet remembers of a pod, what may happen to it, and what can be done: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from testbed.controllers.restart_backoff import NO_BACKOFF, Backoff
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod, Termination
from testbed.runtime.interface import ContainerState


class Stage(Enum):
    """Of the pod's sandbox."""

    NEW = "new"
    CREATING = "creating"
    UP = "up"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Life(Enum):
    """Of one container."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    """Liveness failed; SIGTERM is sent, it still runs."""
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """One container. `started_s` and `finished_s` are of its present or last run."""

    spec: Container
    life: Life = Life.WAITING
    ready: bool = False
    unhealthy: bool = False
    """Its liveness probe has failed."""
    restart_count: int = 0
    started_s: float | None = None
    finished_s: float | None = None
    exit_code: int | None = None
    message: str = ""
    """Why it could not be started, or what it left when it ended."""
    start_error: bool = False
    lacks: str = ""
    """What it waits for before it can be made (a ConfigMap, …)."""
    restart_at_s: float = 0.0
    backoff: Backoff = NO_BACKOFF
    started: bool = False
    """It runs, and its startup probe, if it has one, has succeeded."""
    stands_in: str = ""
    last: Termination | None = None
    """Of the run before."""

    @property
    def runs(self) -> bool:
        return self.life in (Life.RUNNING, Life.STOPPING)

    @property
    def done(self) -> bool:
        """It has ended well, as an init container must before the next one starts."""
        return self.life is Life.EXITED and self.exit_code == 0


@dataclass(frozen=True, slots=True)
class PodRecord:
    """One pod. `pod` is the object as last seen; of its status only evictions are read."""

    pod: Pod
    containers: tuple[ContainerRecord, ...]
    init: tuple[ContainerRecord, ...] = ()
    """Those that run first, one after the other; sidecars among them stay."""
    stage: Stage = Stage.NEW
    pod_ips: tuple[str, ...] = ()
    problem: str = ""
    """Why its sandbox could not be made."""
    retry_at_s: float = 0.0
    evicted: bool = False
    """Somebody else has written that it failed."""
    gone: bool = False
    """The object is no longer in the store."""
    kill_at_s: float | None = None
    """When what still runs gets SIGKILL; None: it is not being stopped."""
    since_s: float | None = None
    """When the kubelet took it on."""
    overdue: bool = False
    """It has run for as long as activeDeadlineSeconds lets it."""

    @staticmethod
    def of(pod: Pod) -> PodRecord:
        """The record of a pod that was just bound to the node."""
        return PodRecord(
            pod,
            tuple(ContainerRecord(spec) for spec in pod.spec.containers),
            tuple(ContainerRecord(spec) for spec in pod.spec.init_containers),
        )

    @property
    def every(self) -> tuple[ContainerRecord, ...]:
        """All containers, in the order in which they start."""
        return (*self.init, *self.containers) if self.init else self.containers


# What happens to a pod


@dataclass(frozen=True, slots=True)
class Seen:
    """The watch delivered the object."""

    pod: Pod


@dataclass(frozen=True, slots=True)
class Gone:
    """The watch delivered the object's deletion."""


@dataclass(frozen=True, slots=True)
class SandboxCreated:
    pod_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxFailed:
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """The runtime returned from starting a container."""

    container: str
    state: ContainerState


@dataclass(frozen=True, slots=True)
class StartFailed:
    """`lacks`: nothing is wrong with it, it only has to wait."""

    container: str
    message: str
    lacks: bool = False


@dataclass(frozen=True, slots=True)
class Relisted:
    """What the runtime says of containers, by name: the relist, or the end of stopping one."""

    states: Mapping[str, ContainerState]


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe's verdict has changed: its threshold was reached."""

    container: str
    probe: str
    """readiness, liveness or startup."""
    ok: bool


@dataclass(frozen=True, slots=True)
class SandboxRemoved:
    pass


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that a step asked to be woken at has come."""


Happening = (
    Seen
    | Gone
    | SandboxCreated
    | SandboxFailed
    | Started
    | StartFailed
    | Relisted
    | Probed
    | SandboxRemoved
    | Tick
)


# What a kubelet does about it


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    pass


@dataclass(frozen=True, slots=True)
class StartContainer:
    container: Container


@dataclass(frozen=True, slots=True)
class StopContainer:
    """SIGTERM now, SIGKILL at `kill_at_s`."""

    container: str
    kill_at_s: float


@dataclass(frozen=True, slots=True)
class StopPod:
    """Stop every container, then remove the sandbox; said again, it brings the SIGKILL forward."""

    kill_at_s: float


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Remove the object: nothing of the pod is left on the node."""


Action = CreateSandbox | StartContainer | StopContainer | StopPod | DeletePod


@dataclass(frozen=True, slots=True)
class Step:
    """The record afterwards, what to do, and when to look again."""

    record: PodRecord
    actions: tuple[Action, ...] = ()
    wake_at_s: float | None = None
    forget: bool = False
    """Nothing of the pod is left, neither here nor in the store."""
