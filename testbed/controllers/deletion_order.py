"""Which pods go first when there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from testbed.model.objects.pods import Pod

DELETION_COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"


def first_to_go(pods: Iterable[Pod], related: Iterable[Pod] = ()) -> list[Pod]:
    """Pods in the order of deletion: unbound, pending, not ready, cheap, highest ordinal, crowded node, ready
    for the shortest time, most restarts, youngest. `related` are all pods of the same workload.

    Source: pkg/controller/controller_utils.go, ActivePodsWithRanks; ordinals are the testbed's own, so that
    scaling `web` from 3 to 2 removes `web-2`.
    """
    crowd = Counter(pod.spec.node_name for pod in related)
    return sorted(
        pods,
        key=lambda pod: (
            bool(pod.spec.node_name),
            pod.status.phase == "Running",
            pod.status.ready,
            _cost(pod),
            -_ordinal(pod),
            -crowd[pod.spec.node_name],
            -(pod.status.ready_changed_s or 0.0),
            -max((item.restart_count for item in pod.status.containers), default=0),
            -pod.meta.creation_s,
            pod.meta.name,
        ),
    )


def _cost(pod: Pod) -> int:
    try:
        return int(pod.meta.annotations.get(DELETION_COST_ANNOTATION, "0"))
    except ValueError:  # as Kubernetes: what is no number costs nothing
        return 0


def _ordinal(pod: Pod) -> int:
    """The number of `web-3`; 0 for a pod that is named by hash."""
    tail = pod.meta.name.rpartition("-")[2]
    owner = pod.meta.owner.name if pod.meta.owner else ""
    base = pod.meta.name.removesuffix(f"-{tail}")
    return int(tail) if tail.isdecimal() and owner.startswith(f"{base}-") else 0
