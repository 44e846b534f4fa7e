"""On which nodes a DaemonSet has pods, and how they are bound to them.

Source: pkg/controller/daemon/daemon_controller.go, NodeShouldRunDaemonPod; util/daemonset_util.go.
"""

from __future__ import annotations

from dataclasses import replace

from testbed.controllers.node_lifecycle import NOT_READY, UNREACHABLE, UNSCHEDULABLE
from testbed.model.node_affinity import matches
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import (
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodSpec,
)
from testbed.model.objects.workloads import DaemonSet
from testbed.model.scheduling import NO_EXECUTE, NO_SCHEDULE, Toleration

_NODE_NAME = "metadata.name"
_PRESSURES = ("disk-pressure", "memory-pressure", "pid-pressure")
_TOLERATED = (
    *((key, NO_EXECUTE) for key in (NOT_READY, UNREACHABLE)),
    *((f"node.kubernetes.io/{name}", NO_SCHEDULE) for name in _PRESSURES),
    (UNSCHEDULABLE, NO_SCHEDULE),
)
"""What daemons bear: the node's being unwell, or cordoned."""
_NO_NETWORK = ("node.kubernetes.io/network-unavailable", NO_SCHEDULE)


def tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    """A daemon's: the template's own, and those that every daemon has."""
    added = (*_TOLERATED, *((_NO_NETWORK,) if spec.host_network else ()))
    made = [Toleration(key, "Exists", "", effect) for key, effect in added]
    return (*spec.tolerations, *(one for one in made if one not in spec.tolerations))


def runs(item: DaemonSet, node: Node) -> bool:
    """Whether the node should have a pod."""
    return _meant(item, node) and not _repelled(item, node, (NO_SCHEDULE, NO_EXECUTE))


def continues(item: DaemonSet, node: Node) -> bool:
    """Whether a pod that is there may stay."""
    return _meant(item, node) and not _repelled(item, node, (NO_EXECUTE,))


def _meant(item: DaemonSet, node: Node) -> bool:
    spec = item.template.spec
    return spec.node_name in ("", node.meta.name) and matches(spec, node)


def _repelled(item: DaemonSet, node: Node, effects: tuple[str, ...]) -> bool:
    borne = tolerations(item.template.spec)
    return any(
        taint.effect in effects and not any(one.tolerates(taint) for one in borne)
        for taint in node.taints
    )


def spec_for(item: DaemonSet, node: str) -> PodSpec:
    """The template's spec, for the scheduler to bind to that node and no other."""
    spec = item.template.spec
    here = (NodeSelectorRequirement(_NODE_NAME, "In", (node,)),)
    affinity = spec.node_affinity or NodeAffinity()
    terms = affinity.required or (NodeSelectorTerm(),)
    pinned = tuple(replace(term, match_fields=here) for term in terms)
    return replace(
        spec,
        node_affinity=replace(affinity, required=pinned),
        tolerations=tolerations(spec),
    )


def pinned_node(spec: PodSpec) -> str:
    """The node that a daemon is for; "": it is no daemon of ours."""
    for term in spec.node_affinity.required if spec.node_affinity else ():
        for one in term.match_fields:
            if one.key == _NODE_NAME and len(one.values) == 1:
                return one.values[0]
    return ""
