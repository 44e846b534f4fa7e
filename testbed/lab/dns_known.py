"""What a DNS server has been told of the cluster, and what it lacks when it has missed something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.containers import Container
from testbed.model.documents import Namespace
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service
from testbed.store import Snapshot

KINDS = (Service, EndpointSlice)
"""What names are made of, beside namespaces and pods."""


@dataclass(frozen=True, slots=True)
class Known:
    """A state, the namespaces there were in it, and whether it was told of pods."""

    snapshot: Snapshot
    namespaces: frozenset[str]
    pods: bool

    def objects(self) -> Iterator[Object]:
        """All that names are made of."""
        named = list(self.snapshot.list(Namespace))
        yield from named
        yield from map(implied, sorted(self.namespaces - {item.meta.name for item in named}))
        for kind in KINDS:
            yield from self.snapshot.list(kind)
        yield from map(brief, self.snapshot.list(Pod) if self.pods else ())

    def since(self, before: Known) -> Iterator[tuple[str, Object]]:
        """What has changed: (ADDED, MODIFIED or DELETED, the object), what is gone first."""
        then, now = before._by_key(), self._by_key()
        for key, item in then.items():
            if key not in now:
                yield "DELETED", item
        for key, item in now.items():
            known = then.get(key)
            if known is None:
                yield "ADDED", item
            elif known is not item and known != item:
                yield "MODIFIED", item

    def _by_key(self) -> dict[tuple[str, str, str], Object]:
        return {(one.kind, one.meta.namespace, one.meta.name): one for one in self.objects()}


NOTHING = Known(Snapshot(0, {}), frozenset(), pods=False)


def implied(name: str) -> Namespace:
    """A namespace that nobody has made an object for, with the label that the API gives to each."""
    return Namespace(ObjectMeta(name, labels={"kubernetes.io/metadata.name": name}))


def brief(pod: Object) -> Pod:
    """A pod as far as its names go."""
    assert isinstance(pod, Pod)
    meta = ObjectMeta(
        pod.meta.name, pod.meta.namespace, labels=pod.meta.labels, deletion_s=pod.meta.deletion_s
    )
    spec = PodSpec((Container("brief", "brief"),))
    return Pod(meta, spec, PodStatus(pod.status.phase, pod.status.pod_ips))
