"""Which pods a workload counts, and since when they count as available."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.model.objects.pods import Pod


def is_active(pod: Pod) -> bool:
    """Whether a workload counts it: neither ended nor terminating."""
    return pod.meta.deletion_s is None and pod.status.phase not in TERMINAL_PHASES


def available_at_s(pod: Pod, min_ready_s: float) -> float | None:
    """When the pod has been ready for long enough; None: it is not ready."""
    if not pod.status.ready:
        return None
    return (pod.status.ready_changed_s or 0.0) + min_ready_s if min_ready_s else 0.0


@dataclass(frozen=True, slots=True)
class Availability:
    """Of some pods, now; `wake_at_s`: when the next of them becomes available (None: none will by itself)."""

    ready: int
    available: int
    wake_at_s: float | None


def availability(pods: Iterable[Pod], min_ready_s: float, now_s: float) -> Availability:
    """Source: pkg/api/v1/pod/util.go, IsPodAvailable."""
    times = [at_s for pod in pods if (at_s := available_at_s(pod, min_ready_s)) is not None]
    waiting = [at_s for at_s in times if at_s > now_s]
    return Availability(len(times), len(times) - len(waiting), min(waiting, default=None))
