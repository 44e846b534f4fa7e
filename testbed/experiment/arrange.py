"""A topology adapted to a trial: pure, from one frozen topology to the next."""

from __future__ import annotations

import math
from typing import Any

from testbed.errors import UsageError
from testbed.experiment.module import Factors
from testbed.model import fakes
from testbed.model.proxy import Proxy
from testbed.model.timing import Timing
from testbed.model.topology import Topology
from testbed.model.workload import Workload

RELIST_S = Timing().relist_period_s
"""How often the kubelet looks for dead containers, unless a topology says otherwise."""
MIN_SYNC_S = Proxy().min_sync_period_s
"""What the proxy waits at least between two syncs, unless a topology says otherwise."""


def require_positive(experiment: str, factors: Factors, *names: str) -> None:
    """Raises UsageError for the first of these factors that is not a number above 0."""
    for name in names:
        if not 0 < float(factors[name]) < math.inf:
            raise UsageError(f"{experiment} needs {name} above 0, not {factors[name]}")


def require_two_replicas(experiment: str, factors: Factors, such_as: int = 3) -> None:
    """Raises UsageError for fewer than two replicas: where one goes, another must stay."""
    if int(factors["replicas"]) < 2:
        raise UsageError(
            f"{experiment} needs at least 2 replicas", f"as in --set replicas={such_as}"
        )


def subject_workload(topology: Topology) -> str:
    """The workload behind the first service that has one. Raises UsageError where none has."""
    for name, service in topology.services.items():
        for candidate, workload in topology.workloads.items():
            labels = {"app": candidate, **workload.labels}
            wanted = service.selector if service.selector is not None else {"app": name}
            if not workload.fake and wanted and wanted.items() <= labels.items():
                return candidate
    raise UsageError(
        f"topology {topology.name} has no service with a workload behind it",
        "give it both under `workloads:` and `services:`",
    )


def with_workload(topology: Topology, name: str, **changes: Any) -> Topology:
    """The topology with fields of one workload changed, or with that workload added."""
    workload = topology.workloads.get(name, Workload())
    changed = workload.model_copy(update=changes)
    return topology.model_copy(update={"workloads": {**topology.workloads, name: changed}})


def with_clients_on_every_node(topology: Topology) -> Topology:
    """Adds a workload `client-NODE` of two pods to each node: one to call, one for its control."""
    for node in fakes.live_nodes(topology):
        topology = with_workload(topology, f"client-{node}", replicas=2, node=node)
    return topology


def with_timing(topology: Topology, **changes: Any) -> Topology:
    """The topology with fields of its `timing` changed."""
    return topology.model_copy(update={"timing": topology.timing.model_copy(update=changes)})


def with_usual_periods(topology: Topology) -> Topology:
    """Relists and syncs as often as `RELIST_S` and `MIN_SYNC_S` say, which limits are reckoned from."""
    proxy = topology.proxy.model_copy(update={"min_sync_period_s": MIN_SYNC_S})
    return with_timing(topology, relist_period_s=RELIST_S).model_copy(update={"proxy": proxy})


def without_names(topology: Topology) -> Topology:
    """Leaves the DNS pods out, for experiments that dial addresses: a lab starts sooner."""
    return topology.model_copy(update={"dns": topology.dns.model_copy(update={"replicas": 0})})
