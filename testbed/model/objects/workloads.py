"""What makes pods of a template: Deployments, ReplicaSets and DaemonSets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import Condition, Labels, ObjectMeta
from testbed.model.objects.pods import PodSpec

ORDINAL_NAMES_ANNOTATION = "testbed/pod-names"
"""On a Deployment: `ordinal` names its pods `web-0`, `web-1`, … (the topology's shorthand)."""
TEMPLATE_HASH_LABEL = "pod-template-hash"
"""On a Deployment's ReplicaSets and their pods: which template they are of."""


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
