"""Whether a node takes a pod, by what is said of these two alone; in kube-scheduler's words where it does not.

Source: pkg/scheduler/framework/plugins: nodeunschedulable, tainttoleration, nodeaffinity, nodeports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.controllers.node_lifecycle import NOT_READY, UNSCHEDULABLE
from testbed.model.node_affinity import matches
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.scheduling import NO_SCHEDULE, PREFER_NO_SCHEDULE, Taint

HostPort = tuple[str, str, int]
"""(address, protocol, port) of a node; the address "" is every one of its."""

NO_FREE_PORTS = "node(s) didn't have free ports for the requested pod ports"
_UNSCHEDULABLE = "node(s) were unschedulable"
_NO_MATCH = "node(s) didn't match Pod's node affinity/selector"
_NOT_BEGUN = Taint(NOT_READY, NO_SCHEDULE)


def obstacle(spec: PodSpec, node: Node) -> str:
    """Why pods like this cannot run there, whoever else does; "" when they can."""
    if node.unschedulable and not _tolerates(spec, Taint(UNSCHEDULABLE, NO_SCHEDULE)):
        return _UNSCHEDULABLE
    for taint in _repellent(node):
        if not _tolerates(spec, taint):
            return f"node(s) had untolerated taint {{{taint}}}"
    return "" if matches(spec, node) else _NO_MATCH


def _repellent(node: Node) -> Iterator[Taint]:
    """Its taints that keep pods off; what only repeats `unschedulable` is left out."""
    if not node.ready and not any(taint.key == NOT_READY for taint in node.taints):
        yield _NOT_BEGUN
    for taint in node.taints:
        if taint.effect != PREFER_NO_SCHEDULE and taint.key != UNSCHEDULABLE:
            yield taint


def _tolerates(spec: PodSpec, taint: Taint) -> bool:
    return any(one.tolerates(taint) for one in spec.tolerations)


def unwelcome(spec: PodSpec, node: Node) -> int:
    """How many of the node's taints would rather not have the pod."""
    return sum(
        taint.effect == PREFER_NO_SCHEDULE and not _tolerates(spec, taint) for taint in node.taints
    )


def host_ports(pod: Pod) -> list[HostPort]:
    """The ports of its node that a pod takes for itself."""
    found = []
    for container in pod.spec.containers:
        for port in container.ports:
            number = port.host_port or (port.container_port if pod.spec.host_network else 0)
            if number:
                address = "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip
                found.append((address, port.protocol, number))
    return found


def clash(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> bool:
    """Whether two of them are the same port of the same address."""
    return any(
        one[1:] == other[1:] and (not one[0] or not other[0] or one[0] == other[0])
        for one in wanted
        for other in taken
    )
