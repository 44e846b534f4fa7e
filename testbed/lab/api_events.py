"""Events of a lab whose API is open: what `kubectl describe` and `kubectl get events` show."""

from __future__ import annotations

import asyncio

from testbed.apiserver.event_log import CAPACITY, EventLog
from testbed.apiserver.object_events import (
    Said,
    events_of,
    of_balancer,
    of_ingress,
    of_probe,
    past_of,
)
from testbed.events import Event as LabEvent
from testbed.model.documents import Ingress, Namespace
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Change, Snapshot, Store


class ApiEvents:
    """Writes them; what happens in one turn of the event loop is one transaction."""

    def __init__(self, store: Store, unix_offset_s: float) -> None:
        self._store = store
        self._log = EventLog(unix_offset_s)
        self._waiting: list[Said] = []

    def start(self) -> None:
        """Tell what became of the pods and services that are there, then what happens from now on."""
        there: list[Pod | Service] = [*self._store.list(Pod), *self._store.list(Service)]
        past = [said for item in there for said in past_of(item)]
        self._waiting = sorted(past, key=lambda said: said.at_s)[-CAPACITY:]
        self._write()
        self._store.watch(self._changed)

    def heard(self, event: LabEvent) -> None:
        """What kubelets, ingress controllers and load balancers tell beside the store."""
        if event.source == "edge":
            namespace, _, name = str(event.detail.get("service", "")).partition("/")
            service = self._store.snapshot().get(Service, namespace, name)
            if service is not None:
                self._say(list(of_balancer(event, service)))
            return
        namespace, _, name = event.object.partition("/")
        if event.source == "ingress" and "message" in event.detail:
            item = self._store.snapshot().get(Ingress, namespace, name)
            if item is not None:
                self._say([of_ingress(event, item)])
        if event.kind == "probe-failed":
            pod = self._store.snapshot().get(Pod, namespace, name)
            if pod is not None:
                self._say([of_probe(event, pod)])

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._say(list(events_of(changes, self._store.snapshot())))

    def _say(self, said: list[Said]) -> None:
        if said and not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)  # not within somebody's write
        self._waiting += said

    def _write(self) -> None:
        said, self._waiting = self._waiting, []
        snapshot = self._store.snapshot()
        here = [one for one in said if _has_a_place(one, snapshot)]
        self._store.apply(self._log.writes(here, snapshot))


def _has_a_place(said: Said, snapshot: Snapshot) -> bool:
    """As nothing, no Event is added to a namespace that is being deleted, or has been."""
    namespace = snapshot.get(Namespace, "", said.about.meta.namespace or "default")
    return namespace is not None and namespace.meta.deletion_s is None
