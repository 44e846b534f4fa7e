"""A fault as somebody asks for it -> what is done in a running lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.errors import NotFound, UsageError
from testbed.events import Event
from testbed.faults.fault import check_kind, check_options, node_fault, pod_fault
from testbed.faults.inject import inject
from testbed.faults.inject_node import inject_node
from testbed.faults.link_fault import LINK_KINDS, PARTITION, link_fault, partition
from testbed.lab.cluster import Cluster
from testbed.lab.fault_reach import node_reach, reach, target_of


async def injected(
    cluster: Cluster, kind: str, where: Sequence[str], options: Mapping[str, Any]
) -> Event:
    """Do it, now; returns its event. Raises UsageError, NotFound, and what the fault's own code raises."""
    check_kind(kind)
    check_options(kind, options)
    if _is_of_links(cluster, kind, where):
        if kind == PARTITION:
            return await cluster.link_faults.keep_apart(partition(where))
        if kind == "heal" and tuple(where) == (PARTITION,):
            return await cluster.link_faults.reunite()
        return await cluster.link_faults.inject(link_fault(kind, where, options))
    if len(where) != 1:
        raise UsageError(f"{kind} is for one pod or node at a time, not {' '.join(where)}")
    name, pod = target_of(cluster, where[0])
    if pod is None:
        return await inject_node(node_fault(kind, name, options), node_reach(cluster, name))
    return await inject(pod_fault(kind, name, options), reach(cluster))


def _is_of_links(cluster: Cluster, kind: str, where: Sequence[str]) -> bool:
    """A heal is of links where it names none of what else there is."""
    if kind != "heal":
        return kind in LINK_KINDS
    if len(where) != 1:
        return True
    try:
        target_of(cluster, where[0])
    except UsageError:
        return where[0] in cluster.machines()  # an outside host: only its links can be healed
    except NotFound:
        return where[0] == PARTITION or cluster.link_faults.knows(where[0])
    return False
