"""Draining a node as `kubectl drain --ignore-daemonsets --delete-emptydir-data`: cordoned, its pods evicted.

Source: staging/src/k8s.io/kubectl/pkg/drain/filters.go.
"""

from __future__ import annotations

from dataclasses import replace

from testbed.controllers.pod_deletion import TERMINAL_PHASES, deletion
from testbed.errors import CheckFailed
from testbed.faults.fault import NodeFault
from testbed.model.objects.metadata import name_of
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Snapshot, Update, Write


def drain(fault: NodeFault, snapshot: Snapshot, now_s: float) -> tuple[list[Write], list[Pod]]:
    """The writes, and the pods that go. Pods of DaemonSets stay: they would be made again at once.

    Raises CheckFailed, as kubectl does, for pods that nobody would replace, unless the fault has `force`.
    """
    node = snapshot.get(Node, "", fault.node)
    assert node is not None
    pods = [pod for pod in snapshot.list(Pod) if pod.spec.node_name == fault.node]
    alone = [name_of(pod) for pod in pods if not _owner(pod) and not _is_over(pod)]
    if alone and not fault.force:
        raise CheckFailed(
            f"nobody would replace {', '.join(sorted(alone))}", "--force evicts such pods, too"
        )
    leaving = [pod for pod in pods if _owner(pod) != "DaemonSet" and pod.meta.deletion_s is None]
    writes: list[Write] = [deletion(pod, now_s, fault.grace_s) for pod in leaving]
    return [*cordon(node, cordoned=True), *writes], leaving


def cordon(node: Node, *, cordoned: bool) -> list[Write]:
    """The write that (un)cordons a node; none where it is so already."""
    return [] if node.unschedulable == cordoned else [Update(replace(node, unschedulable=cordoned))]


def _owner(pod: Pod) -> str:
    """The kind of its controller; "" where it has none."""
    return pod.meta.owner.kind if pod.meta.owner is not None else ""


def _is_over(pod: Pod) -> bool:
    return pod.status.phase in TERMINAL_PHASES
