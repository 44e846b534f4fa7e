"""How a pod is deleted: what the API server turns a DELETE request into."""

from __future__ import annotations

from testbed.model.objects.metadata import with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Delete, Update, Write

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})


def deletion(pod: Pod, now_s: float, grace_s: float | None = None, *, force: bool = False) -> Write:
    """The write that deletes `pod`, gracefully unless nothing is there to end gracefully.

    `grace_s` replaces the pod's own termination grace period; 0 means the same as `force`. A pod
    that is already terminating keeps the time it was asked at; its grace period only gets shorter.
    Source: pkg/registry/core/pod/strategy.go, CheckGracefulDelete.
    """
    grace = pod.spec.termination_grace_period_s if grace_s is None else grace_s
    nothing_runs = not pod.spec.node_name or pod.status.phase in TERMINAL_PHASES
    if force or grace <= 0 or nothing_runs:
        return ended(pod, now_s)
    if pod.meta.deletion_s is None:
        return Update(with_meta(pod, deletion_s=now_s, deletion_grace_period_s=grace))
    left = pod.meta.deletion_grace_period_s
    shorter = grace if left is None else min(left, grace)
    return Update(with_meta(pod, deletion_grace_period_s=shorter))


def ended(pod: Pod, now_s: float) -> Write:
    """The write that removes a pod of which nothing is left: at once, or when its last finalizer goes."""
    if not pod.meta.finalizers:
        return Delete(pod.kind, pod.meta.namespace, pod.meta.name, pod.meta.uid)
    deletion_s = now_s if pod.meta.deletion_s is None else pod.meta.deletion_s
    return Update(with_meta(pod, deletion_s=deletion_s, deletion_grace_period_s=0.0))
