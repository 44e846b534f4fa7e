"""Two records of a pod, before and after a step -> the kubelet's rows in the event log."""

from __future__ import annotations

from testbed.controllers.pod_lifecycle import exit_reason
from testbed.controllers.pod_record import PodRecord, Stage
from testbed.events import Event
from testbed.model.objects.metadata import name_of


def kubelet_events(before: PodRecord, after: PodRecord, node: str, t_ns: int) -> list[Event]:
    """container-started, container-died, pod-removed; `t_ns` is when the kubelet noticed."""
    events: list[Event] = []

    def add(kind: str, **detail: object) -> None:
        uid = after.pod.meta.uid
        events.append(
            Event(t_ns, "kubelet", node, kind, name_of(after.pod), 0, {"uid": uid, **detail})
        )

    for old, new in zip(before.every, after.every, strict=True):
        name = new.spec.name
        started = new.started_s != old.started_s
        if started:
            add("container-started", container=name, restart_count=new.restart_count)
        if new.finished_s != old.finished_s and new.finished_s is not None:
            add(
                "container-died",
                container=name,
                restart_count=old.restart_count,
                reason="Unhealthy" if old.unhealthy else exit_reason(new),
                exit_code=new.exit_code,
                finished_ns=round(new.finished_s * 1e9),
            )
    if after.stage is Stage.STOPPED and before.stage is not Stage.STOPPED:
        add("pod-removed", pod_ip=next(iter(after.pod_ips), ""))
    return events
