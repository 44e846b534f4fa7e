"""What changes of objects mean, in the words of Kubernetes' own Events: who says what of which object.

Source: the event reasons of kube-scheduler, kubelet and kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testbed.events import Event as LabEvent
from testbed.model.load_balancer import ALLOCATED_FROM
from testbed.model.objects.metadata import Object, OwnerReference
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import REAL_IMAGE, ContainerStatus, Pod
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import DaemonSet, Deployment, ReplicaSet
from testbed.store import Change, Snapshot

SCHEDULER, KUBELET, BALANCER = "default-scheduler", "kubelet", "metallb-controller"
_TOLD = {"FailedCreatePodSandBox": "Failed to create pod sandbox: "}
"""How the kubelet begins to say why a pod cannot be."""
_CONTROLLER = {"DaemonSet": "daemonset-controller", "ReplicaSet": "replicaset-controller"}
_OWNERS: dict[str, type[Object]] = {kind.kind: kind for kind in (DaemonSet, Deployment, ReplicaSet)}


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that is said of an object; `at_s` is CLOCK_MONOTONIC."""

    about: Object
    reason: str
    message: str
    at_s: float
    component: str
    host: str = ""
    field_path: str = ""
    warning: bool = False


def events_of(changes: Iterable[Change], after: Snapshot) -> Iterator[Said]:
    """What is to be said of changes; `after` is the state that they led to."""
    for change in changes:
        if isinstance(change.object, Pod):
            yield from _of_pod(change, change.object, after)
        elif isinstance(change.object, ReplicaSet):
            yield from _of_replica_set(change, change.object, after)
        elif isinstance(change.object, Service) and change.type != "DELETED":
            yield from _of_service(change.object, change.previous, change.written_s)
        elif isinstance(change.object, Node) and isinstance(change.previous, Node):
            yield from _of_node(change.object, change.previous, change.written_s)


def past_of(item: Pod | Service) -> Iterator[Said]:
    """What would have been said of what is there, at the instants at which it happened; a service's address
    is taken for as old as the service.
    """
    if isinstance(item, Pod):
        yield from _past_of_pod(item)
    else:
        yield from _of_service(item, None, item.meta.creation_s)


def _past_of_pod(pod: Pod) -> Iterator[Said]:
    made_s, taken_s = pod.meta.creation_s, pod.status.started_s
    if pod.spec.node_name:
        yield _scheduled(pod, made_s)
    yield from _unscheduled(pod, None, made_s)
    for status in pod.status.containers:
        if status.started_s is not None:
            yield from _begun(pod, status, status.started_s)
        if status.reason == "CrashLoopBackOff" and status.finished_s is not None:
            yield _backs_off(pod, status, status.finished_s)
    yield from _failed(pod, None, made_s if taken_s is None else taken_s)


def of_probe(event: LabEvent, pod: Pod) -> Said:
    """What is said of a probe that failed, which the store does not tell."""
    kind = str(event.detail["probe"]).capitalize()
    return Said(
        pod,
        "Unhealthy",
        f"{kind} probe failed: {event.detail['reason']}",
        event.t_ns / 1e9,
        KUBELET,
        event.node,
        _path(str(event.detail["container"])),
        warning=True,
    )


def of_ingress(event: LabEvent, item: Object) -> Said:
    """What a controller has against an Ingress."""
    at_s, message = event.t_ns / 1e9, str(event.detail["message"])
    return Said(item, event.kind, message, at_s, "haproxy-ingress", event.node, warning=True)


def of_balancer(event: LabEvent, service: Object) -> Iterator[Said]:
    """What MetalLB's controller and speakers, or a cloud's, say of a service; nothing of what they keep to
    themselves.
    """
    at_s = event.t_ns / 1e9
    if event.kind == "allocation-failed":
        error = str(event.detail["error"])
        yield Said(service, "AllocationFailed", error, at_s, BALANCER, warning=True)
    elif event.kind == "SyncLoadBalancerFailed":
        message = f"Error syncing load balancer: {event.detail['message']}"
        yield Said(service, event.kind, message, at_s, "service-controller", warning=True)
    elif event.kind == "announcing" and "protocol" in event.detail:
        message = f'announcing from node "{event.node}" with protocol "{event.detail["protocol"]}"'
        yield Said(service, "nodeAssigned", message, at_s, "metallb-speaker", event.node)


# Services


def _of_service(service: Service, before: Object | None, at_s: float) -> Iterator[Said]:
    had = before.load_balancer_ingress if isinstance(before, Service) else ()
    given = service.load_balancer_ingress
    if given and given != had and ALLOCATED_FROM in service.meta.annotations:
        ips = " ".join(f'"{one.ip}"' for one in given)
        yield Said(service, "IPAllocated", f"Assigned IP [{ips}]", at_s, BALANCER)


# Pods


def _of_pod(change: Change, pod: Pod, after: Snapshot) -> Iterator[Said]:
    at_s, before = change.written_s, change.previous
    owner = pod.meta.owner
    if change.type == "DELETED":
        return
    if not isinstance(before, Pod):
        if owner is not None:
            yield from _by_owner(pod, owner, after, ("SuccessfulCreate", "Created"), at_s)
        before = None
    was_on = before.spec.node_name if before else ""
    if pod.spec.node_name and not was_on:
        yield _scheduled(pod, at_s)
    yield from _unscheduled(pod, before, at_s)
    if before is not None and pod.meta.deletion_s is not None and before.meta.deletion_s is None:
        if owner is not None:
            yield from _by_owner(pod, owner, after, ("SuccessfulDelete", "Deleted"), at_s)
        for status in pod.status.containers:
            if status.state == "running":
                yield _kubelet(pod, "Killing", f"Stopping container {status.name}", at_s, status)
    yield from _of_containers(pod, before, at_s)


def _scheduled(pod: Pod, at_s: float) -> Said:
    message = f"Successfully assigned {pod.meta.namespace}/{pod.meta.name} to {pod.spec.node_name}"
    return Said(pod, "Scheduled", message, at_s, SCHEDULER)


def _unscheduled(pod: Pod, before: Pod | None, at_s: float) -> Iterator[Said]:
    status = pod.status
    told = before.status.message if before else ""
    if status.reason == "Unschedulable" and status.message and status.message != told:
        yield Said(pod, "FailedScheduling", status.message, at_s, SCHEDULER, warning=True)


def _of_containers(pod: Pod, before: Pod | None, at_s: float) -> Iterator[Said]:
    known = {one.name: one for one in before.status.containers} if before else {}
    for status in pod.status.containers:
        old = known.get(status.name)
        if status.started_s is not None and (old is None or old.started_s != status.started_s):
            yield from _begun(pod, status, at_s)
        backs_off = status.reason == "CrashLoopBackOff"
        if backs_off and (old is None or old.reason != status.reason):
            yield _backs_off(pod, status, at_s)
    yield from _failed(pod, before, at_s)


def _backs_off(pod: Pod, status: ContainerStatus, at_s: float) -> Said:
    where = f"pod {pod.meta.name}_{pod.meta.namespace}({pod.meta.uid})"
    message = f"Back-off restarting failed container {status.name} in {where}"
    return _kubelet(pod, "BackOff", message, at_s, status, warning=True)


def _failed(pod: Pod, before: Pod | None, at_s: float) -> Iterator[Said]:
    problem = pod.status.reason
    if problem.startswith("Failed") and (before is None or before.status.reason != problem):
        said = _TOLD.get(problem, "") + pod.status.message
        yield _kubelet(pod, problem, said, at_s, warning=True)


def _begun(pod: Pod, status: ContainerStatus, at_s: float) -> Iterator[Said]:
    """Where no daemon has the image, what runs in its name is said instead."""
    image = next(one.image for one in pod.spec.containers if one.name == status.name)
    runs = status.stands_in or "a program of this machine"
    instead = "it is the lab's own" if runs == image else f"{runs} runs in its name"
    how = "already present on machine"
    if not runs.startswith(REAL_IMAGE):
        how = f"is not pulled: {instead}"
    for reason, message in (
        ("Pulled", f'Container image "{image}" {how}'),
        ("Created", f"Created container: {status.name}"),
        ("Started", f"Started container {status.name}"),
    ):
        yield _kubelet(pod, reason, message, at_s, status)


def _kubelet(
    pod: Pod,
    reason: str,
    message: str,
    at_s: float,
    status: ContainerStatus | None = None,
    *,
    warning: bool = False,
) -> Said:
    path = _path(status.name) if status is not None else ""
    return Said(pod, reason, message, at_s, KUBELET, pod.spec.node_name, path, warning)


def _path(container: str) -> str:
    return f"spec.containers{{{container}}}"


# Owners and nodes


def _by_owner(
    pod: Pod, owner: OwnerReference, after: Snapshot, words: tuple[str, str], at_s: float
) -> Iterator[Said]:
    kind = _OWNERS.get(owner.kind)
    found = after.get(kind, pod.meta.namespace, owner.name) if kind is not None else None
    if found is not None:
        component = _CONTROLLER.get(owner.kind, "deployment-controller")
        yield Said(found, words[0], f"{words[1]} pod: {pod.meta.name}", at_s, component)


def _of_replica_set(change: Change, item: ReplicaSet, after: Snapshot) -> Iterator[Said]:
    owner = item.meta.owner
    if owner is None or change.type == "DELETED":
        return
    deployment = after.get(Deployment, item.meta.namespace, owner.name)
    before = change.previous.replicas if isinstance(change.previous, ReplicaSet) else 0
    if deployment is None or before == item.replicas:
        return
    way = "up" if item.replicas > before else "down"
    message = f"Scaled {way} replica set {item.meta.name} from {before} to {item.replicas}"
    at_s = change.written_s
    yield Said(deployment, "ScalingReplicaSet", message, at_s, "deployment-controller")


def _of_node(node: Node, before: Node, at_s: float) -> Iterator[Said]:
    name = node.meta.name
    told: list[tuple[str, str]] = []
    if node.ready != before.ready:
        word = "NodeReady" if node.ready else "NodeNotReady"
        told.append((word, KUBELET if node.ready else "node-controller"))
    if node.unschedulable != before.unschedulable:
        told.append(("NodeNotSchedulable" if node.unschedulable else "NodeSchedulable", KUBELET))
    for word, component in told:
        yield Said(node, word, f"Node {name} status is now: {word}", at_s, component, name)
