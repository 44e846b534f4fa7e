"""Kubernetes' own delays, as values: the topology's `timing:` once it has been read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delays:
    """What the network to the API server would add; each call draws one delay. None: no delay.

    `watch_s` delays the delivery of one change to one watcher, `api_s` one transaction of writes.
    """

    watch_s: Callable[[], float] | None = None
    api_s: Callable[[], float] | None = None


NO_DELAYS = Delays()


@dataclass(frozen=True, slots=True)
class KubeletTiming:
    """Kubelet's constants, with its defaults (source in brackets)."""

    relist_s: float = 1.0
    """Between looks at the containers (pkg/kubelet, genericPlegRelistPeriod)."""
    backoff_initial_s: float = 10.0
    """First wait before a restart; the very first restart is at once (containerBackOffPeriod)."""
    backoff_max_s: float = 300.0
    """The wait doubles up to this (MaxCrashLoopBackOff)."""
    sandbox_retry_s: float = 10.0
    """Before a sandbox that could not be made is tried again (backOffPeriod)."""
    minimum_grace_s: float = 2.0
    """No container gets less between SIGTERM and SIGKILL (kuberuntime, minimumGracePeriod…)."""
    stop_poll_s: float = 0.01
    """Between looks at a container that is being stopped; the testbed's own."""


@dataclass(frozen=True, slots=True)
class NodeTiming:
    """What is waited for when a node falls silent, with kube-controller-manager's defaults."""

    monitor_period_s: float = 5.0
    """Between looks at the nodes (--node-monitor-period)."""
    monitor_grace_period_s: float = 50.0
    """A silent node still counts as ready for so long (--node-monitor-grace-period)."""
    toleration_s: float = 300.0
    """A pod stays on a node that is not ready for so long (--default-not-ready-toleration-seconds)."""
