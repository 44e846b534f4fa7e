"""Changes of the store -> the events that failover figures join on: who is ready, who is offered.

A terminating pod is not ready from the write that asks for its deletion: that is the instant at
which the control plane knows ("detect"), though the pod may still serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.events import Event
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.metadata import Object, name_of
from testbed.model.objects.pods import Pod
from testbed.store import Change


def store_events(changes: Iterable[Change], t_ns: int) -> list[Event]:
    """The rows of one transaction: {pod,endpoint}-ready and {pod,endpoint}-not-ready.

    An endpoint that moves between slices of its service within the transaction is no news.
    """
    events: list[Event] = []
    offers: dict[tuple[str, str, str], tuple[Event, int]] = {}
    for change in changes:
        before = change.previous
        after = None if change.type == "DELETED" else change.object
        if isinstance(change.object, Pod):
            events += _pod_events(change, before, after, t_ns)
        elif isinstance(change.object, EndpointSlice):
            for event, step in _endpoint_events(change, before, after, t_ns):
                key = (event.object, event.detail["uid"], event.detail["pod_ip"])
                offers[key] = (event, offers[key][1] + step if key in offers else step)
    return events + [event for event, balance in offers.values() if balance]


def _pod_events(
    change: Change, before: Object | None, after: Object | None, t_ns: int
) -> Iterator[Event]:
    pod = change.object
    assert isinstance(pod, Pod)
    was, is_now = _is_ready(before), _is_ready(after)
    if was == is_now:
        return
    reason = ""
    if not is_now:
        terminating = isinstance(after, Pod) and after.meta.deletion_s is not None
        reason = "deleted" if after is None else "terminating" if terminating else "not-ready"
    detail = {
        "pod_ip": pod.status.pod_ip,
        "pod_ips": list(pod.status.pod_ips),
        "uid": pod.meta.uid,
    }
    yield Event(
        t_ns,
        "store",
        pod.spec.node_name,
        "pod-ready" if is_now else "pod-not-ready",
        name_of(pod),
        change.resource_version,
        {**detail, "reason": reason} if reason else detail,
    )


def _is_ready(item: Object | None) -> bool:
    return isinstance(item, Pod) and item.status.ready and item.meta.deletion_s is None


def _endpoint_events(
    change: Change, before: Object | None, after: Object | None, t_ns: int
) -> Iterator[tuple[Event, int]]:
    """Each endpoint that began (+1) or ceased (-1) to be offered by this slice."""
    was, is_now = _offered(before), _offered(after)
    ceased = [key for key in was if key not in is_now]
    begun = [key for key in is_now if key not in was]
    for key in (*ceased, *begun):
        begins = key in is_now
        endpoint = is_now[key] if begins else was[key]
        target = endpoint.target
        namespace, service = change.object.service  # type: ignore[attr-defined]
        event = Event(
            t_ns,
            "store",
            endpoint.node_name,
            "endpoint-ready" if begins else "endpoint-not-ready",
            f"{namespace}/{service}",
            change.resource_version,
            {
                "pod": f"{target.namespace}/{target.name}" if target else "",
                "pod_ip": endpoint.addresses[0],
                "uid": target.uid if target else "",
            },
        )
        yield event, 1 if begins else -1


def _offered(item: Object | None) -> dict[tuple[str, str], Endpoint]:
    """The ready endpoints of a slice, by their pod's uid and address."""
    if not isinstance(item, EndpointSlice):
        return {}
    return {
        (endpoint.target.uid if endpoint.target else "", endpoint.addresses[0]): endpoint
        for endpoint in item.endpoints
        if endpoint.ready
    }
