"""Making a fault happen, and saying when it was effective."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from signal import SIGCONT, SIGKILL, SIGSTOP

from testbed.controllers.pod_deletion import deletion
from testbed.errors import CheckFailed, NotFound
from testbed.events import Event
from testbed.faults.fault import Fault, check_kind
from testbed.model.objects.metadata import name_of
from testbed.model.objects.pods import Pod
from testbed.store import Change, Write


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fault may touch. Containers are named by the pod's uid and their own name.

    `ended`, `stopped` and `resumed` return once the process has been reaped, is seen in state T, or
    is no longer, with the instant (CLOCK_MONOTONIC ns) at which that was so; each raises
    OutOfTimeOrRoom when it never comes.
    """

    pod: Callable[[str, str], Pod]
    """(namespace, name) -> the pod now; raises NotFound."""
    runs: Callable[[str, str], bool]
    signal: Callable[[str, str, int], None]
    ended: Callable[[str, str], Awaitable[int]]
    stopped: Callable[[str, str], Awaitable[int]]
    resumed: Callable[[str, str], Awaitable[int]]
    write: Callable[[Write], Sequence[Change]]
    now_ns: Callable[[], int]


async def inject(fault: Fault, reach: Reach) -> Event:
    """Do what the fault says, now; returns its event, whose `t_ns` is when it was effective.

    crash: after the process was reaped. hang: after it was seen stopped. delete: the store write,
    whose resourceVersion the event carries. heal: after it was seen running again.
    Raises NotFound (no such pod or container), CheckFailed (its process does not run).
    """
    check_kind(fault.kind)
    pod = reach.pod(*fault.pod)
    if fault.kind == "delete":
        return _delete(fault, pod, reach)
    uid, container = pod.meta.uid, _container(fault, pod)
    if not reach.runs(uid, container):
        raise CheckFailed(
            f"cannot {fault.kind} {name_of(pod)}: its container {container} does not run",
            "wait until it does; `testbed inspect` shows it",
        )
    match fault.kind:
        case "crash":
            reach.signal(uid, container, SIGKILL)
            t_ns = await reach.ended(uid, container)
        case "hang":
            reach.signal(uid, container, SIGSTOP)
            t_ns = await reach.stopped(uid, container)
        case _:  # heal
            reach.signal(uid, container, SIGCONT)
            t_ns = await reach.resumed(uid, container)
    return _event(fault, pod, t_ns, 0, container)


def _delete(fault: Fault, pod: Pod, reach: Reach) -> Event:
    changes = reach.write(deletion(pod, reach.now_ns() / 1e9, fault.grace_s, force=fault.force))
    version = changes[-1].resource_version if changes else pod.meta.resource_version
    return _event(fault, pod, reach.now_ns(), version, "")


def _container(fault: Fault, pod: Pod) -> str:
    names = [container.name for container in pod.spec.containers]
    if not fault.container:
        return names[0]
    if fault.container not in names:
        raise NotFound(
            f"{name_of(pod)} has no container {fault.container}", f"it has {', '.join(names)}"
        )
    return fault.container


def _event(fault: Fault, pod: Pod, t_ns: int, version: int, container: str) -> Event:
    detail = {"pod_ip": pod.status.pod_ip, "uid": pod.meta.uid, "level": fault.level}
    if container:
        detail["container"] = container
    return Event(t_ns, "fault", pod.spec.node_name, fault.kind, name_of(pod), version, detail)
