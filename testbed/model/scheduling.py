"""What keeps pods off nodes and draws them together: taints, tolerations, pod affinity, topology spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from testbed.model.label_selector import LabelSelector
from testbed.model.spelled import Spelled

NO_SCHEDULE = "NoSchedule"
PREFER_NO_SCHEDULE = "PreferNoSchedule"
NO_EXECUTE = "NoExecute"
EFFECTS = (NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE)


@dataclass(frozen=True, slots=True)
class Taint:
    """Of a node: keeps pods away that do not tolerate it; with NoExecute those that run there, too."""

    key: str
    effect: str
    """One of EFFECTS."""
    value: str = ""
    added_s: float | None = None
    """None: nobody has said when."""

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


@dataclass(frozen=True, slots=True)
class Toleration(Spelled):
    """An empty key with Exists tolerates every taint, an empty effect all effects."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: int | float | None = None
    """Of NoExecute: how long; None: for ever."""

    def tolerates(self, taint: Taint) -> bool:
        """Source: k8s.io/component-helpers, ToleratesTaint."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and self.value == taint.value


@dataclass(frozen=True, slots=True)
class PodAffinityTerm(Spelled):
    """Pods that `label_selector` picks (None: none), in its own namespace unless others are named."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightedPodAffinityTerm(Spelled):
    weight: int
    pod_affinity_term: PodAffinityTerm


@dataclass(frozen=True, slots=True)
class PodAffinity(Spelled):
    """Affinity to pods, or anti-affinity."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()

    @property
    def required(self) -> tuple[PodAffinityTerm, ...]:
        return self.required_during_scheduling_ignored_during_execution

    @property
    def preferred(self) -> tuple[WeightedPodAffinityTerm, ...]:
        return self.preferred_during_scheduling_ignored_during_execution


@dataclass(frozen=True, slots=True)
class TopologySpreadConstraint(Spelled):
    """Pods that `label_selector` picks are spread over the values of a node label."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: Literal["Honor", "Ignore"] = "Honor"
    node_taints_policy: Literal["Honor", "Ignore"] = "Ignore"
    match_label_keys: tuple[str, ...] = ()
