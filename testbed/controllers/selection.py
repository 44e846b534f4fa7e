"""Which pods and slices belong to which services, taken over from the state before as far as nothing changed.

Twenty thousand services are not to be looked at for one pod.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from immutables import Map

from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Key, Snapshot

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslice-controller.k8s.io"

Label = tuple[str, str, str]
"""(namespace, label, value)."""

G = TypeVar("G")
M = TypeVar("M")
T = TypeVar("T", bound=Object)

_Groups = Map[G, frozenset[Key]]
_Changed = Mapping[Key, tuple[T | None, T | None]]


@dataclass(frozen=True, slots=True)
class Selection:
    """One snapshot, sorted."""

    snapshot: Snapshot
    services_by_label: _Groups[Label]
    """Those that select pods, by the first label of their selector."""
    pods_by_label: _Groups[Label]
    """By each of their labels."""
    slices_by_service: _Groups[Key]
    """The controller's own."""

    @classmethod
    def nothing(cls) -> Selection:
        """Of an empty cluster, from which any other follows."""
        return cls(Snapshot(0, {}), Map(), Map(), Map())

    def following(self, now: Snapshot) -> tuple[Selection, set[Key]]:
        """The same of another snapshot, and the services whose slices may have to be others than before."""
        then = self.snapshot
        services = now.of(Service).changed_since(then.of(Service))
        pods = now.of(Pod).changed_since(then.of(Pod))
        slices = now.of(EndpointSlice).changed_since(then.of(EndpointSlice))
        found = Selection(
            now,
            regrouped(self.services_by_label, services, _first_label),
            regrouped(self.pods_by_label, pods, _labels),
            regrouped(self.slices_by_service, slices, _owner),
        )
        touched = {*services, *(key for one in _both(slices) for key in _owner(one))}
        for label in {label for one in _both(pods) for label in _labels(one)}:
            touched |= found.services_by_label.get(label, frozenset())
        if _zones_differ(then, now):
            touched.update(now.of(Service))
        return found, touched

    def service(self, key: Key) -> Service | None:
        """The service; None where there is none, or none that selects pods."""
        found = self.snapshot.of(Service).get(key)
        return found if found is not None and _first_label(found) else None

    def pods(self, service: Service) -> list[Pod]:
        """The pods that the whole selector matches, in order of creation."""
        (label,) = _first_label(service)
        selector = service.selector.items()
        return [
            pod
            for pod in self.snapshot.of(Pod).in_order(self.pods_by_label.get(label, ()))
            if all(pod.meta.labels.get(name) == value for name, value in selector)
        ]

    def slices(self, service: Key) -> list[EndpointSlice]:
        """The controller's own slices of a service, in order of creation."""
        return self.snapshot.of(EndpointSlice).in_order(self.slices_by_service.get(service, ()))


def _first_label(service: Service) -> tuple[Label, ...]:
    """As long as its selector: none, or one."""
    if not service.selector or service.type == "ExternalName":
        return ()
    label, value = min(service.selector.items())
    return ((service.meta.namespace, label, value),)


def _labels(pod: Pod) -> list[Label]:
    return [(pod.meta.namespace, label, value) for label, value in pod.meta.labels.items()]


def _owner(item: EndpointSlice) -> tuple[Key, ...]:
    """None where the slice is a user's own."""
    return (item.service,) if item.meta.labels.get(MANAGED_BY_LABEL) == MANAGED_BY else ()


def _both(changed: _Changed[T]) -> Iterable[T]:
    return [one for pair in changed.values() for one in pair if one is not None]


def regrouped(
    groups: Map[G, frozenset[M]],
    changed: Mapping[M, tuple[T | None, T | None]],
    groups_of: Callable[[T], Iterable[G]],
) -> Map[G, frozenset[M]]:
    """The groups after some of their members have changed."""
    edited: dict[G, set[M]] = {}
    for key, (then, now) in changed.items():
        before = set(groups_of(then) if then else ())
        after = set(groups_of(now) if now else ())
        for group in before ^ after:
            members = edited.setdefault(group, set())
            members ^= {key}
    following = groups.mutate()
    for group, moved in edited.items():
        found = groups.get(group, frozenset()) ^ moved
        if found:
            following[group] = found
        else:
            following.pop(group, None)
    return following.finish()


def _zones_differ(then: Snapshot, now: Snapshot) -> bool:
    return any(
        (old.meta.labels.get(ZONE_LABEL, "") if old else "")
        != (new.meta.labels.get(ZONE_LABEL, "") if new else "")
        for old, new in now.of(Node).changed_since(then.of(Node)).values()
    )
