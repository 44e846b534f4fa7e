"""A zone's next state, as it is being made of the one before and what has changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from immutables import MapMutation

from testbed.dns.published import Part, Published, Publishing
from testbed.dns.records import reverse_name
from testbed.dns.zone_options import is_reverse
from testbed.dns.zone_state import Changes, Keys, ZoneState
from testbed.ip import canonical
from testbed.model.documents import Namespace
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Key

_ENDED = ("Succeeded", "Failed")
_Index = MapMutation[str, Keys]


def following(before: ZoneState, changes: Changes) -> tuple[ZoneState, frozenset[str]]:
    """The next state, and the names that differ in it."""
    draft = _Draft(before)
    for kind_of_change, item in changes:
        draft.apply(item, kind_of_change == "DELETED")
    return draft.finish(), frozenset(draft.touched)


class _Draft:
    def __init__(self, before: ZoneState) -> None:
        self.touched: set[str] = set()
        self._before = before
        self._options = before.options
        self._has_reverse = any(map(is_reverse, before.options.zones))
        self._namespaces = before.namespaces.mutate()
        self._inhabited = before.inhabited.mutate()
        self._services = before.services.mutate()
        self._slices = before.slices.mutate()
        self._clustered = before.clustered.mutate()
        self._endpoints = before.endpoints.mutate()
        self._above = before.above.mutate()
        self._pods = before.pods.mutate()
        self._by_pod_ip = before.by_pod_ip.mutate()

    def finish(self) -> ZoneState:
        return ZoneState(
            self._options,
            self._namespaces.finish(),
            self._inhabited.finish(),
            self._services.finish(),
            self._slices.finish(),
            self._clustered.finish(),
            self._endpoints.finish(),
            self._above.finish(),
            self._pods.finish(),
            self._by_pod_ip.finish(),
        )

    def apply(self, item: Object, gone: bool) -> None:
        """Take an object as it is now; one that is not to be published is as good as gone."""
        if isinstance(item, Namespace):
            self._put_namespace(item, gone)
            return
        labels = self._options.labels
        gone = gone or (labels is not None and not labels.matches(item.meta.labels))
        if isinstance(item, Service):
            self._put_service(item, gone)
        elif isinstance(item, EndpointSlice) and self._options.endpoints:
            self._put_slice(item, gone)
        elif isinstance(item, Pod) and self._options.pods == "verified":
            self._put_pod(item, gone)

    def _put_namespace(self, item: Namespace, gone: bool) -> None:
        name, selector = item.meta.name, self._options.namespace_labels
        fits = selector is None or selector.matches(item.meta.labels)
        before = self._namespaces.get(name)
        if gone:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = fits
        if before != self._namespaces.get(name):
            self._touch_namespace(name)

    def _count_namespace(self, name: str, by: int) -> None:
        """One service more, or fewer."""
        count = self._inhabited.get(name, 0) + by
        if count:
            self._inhabited[name] = count
        else:
            del self._inhabited[name]
        if count in (0, by) and name not in self._namespaces:
            self._touch_namespace(name)

    def _touch_namespace(self, name: str) -> None:
        self.touched.add(self._before.namespace_name(name))
        if self._options.namespace_labels is not None:  # what it has had all along may come or go
            for key, published in self._before.services.items():
                if key[0] == name:
                    ips = {*_cluster_ips(published.service)}.union(
                        *(p.hosts for p in published.parts)
                    )
                    self.touched.update(map(reverse_name, ips))

    def _put_pod(self, pod: Pod, gone: bool) -> None:
        """Where `pods` is verified: the pods that run have names, by their addresses."""
        key = pod.meta.namespace, pod.meta.name
        ended = gone or pod.meta.deletion_s is not None or pod.status.phase in _ENDED
        before = self._pods.get(key, ())
        ips = () if ended else tuple(map(canonical, pod.status.pod_ips))
        if ips == before:
            return
        for ip in before:
            _unlist(self._by_pod_ip, ip, key)
        for ip in ips:
            _list(self._by_pod_ip, ip, key)
        self.touched.update(self._before.pod_name(key[0], ip) for ip in {*ips, *before})
        if ips:
            self._pods[key] = ips
        else:
            del self._pods[key]

    def _put_service(self, service: Service, gone: bool) -> None:
        key = service.meta.namespace, service.meta.name
        known = self._services.get(key, Published(key, None))
        now = None if gone else service
        if now == known.service:
            return
        if (now is None) != (known.service is None):
            self._count_namespace(key[0], 1 if known.service is None else -1)
        before_ips, now_ips = _cluster_ips(known.service), _cluster_ips(now)
        self._index(self._clustered, key, before_ips - now_ips, now_ips - before_ips)
        self._put(replace(known, service=now))
        publishing = Publishing.of(now)
        if publishing is not Publishing.of(known.service):
            for name in [part.slice.meta.name for part in known.parts]:
                self._put_part(replace(self._slices[key[0], name], publishing=publishing))

    def _put_slice(self, item: EndpointSlice, gone: bool) -> None:
        key = item.meta.namespace, item.meta.name
        known = self._slices.get(key)
        if known is not None and (gone or known.slice.service != item.service):
            self._take_part(known)
        if not gone:
            published = self._services.get(item.service)
            publishing = Publishing.of(published.service if published else None)
            self._put_part(Part(item, publishing, self._options.endpoint_pod_names))

    def _put_part(self, part: Part) -> None:
        """Add a slice to its service, or replace the one of its name."""
        key = part.slice.meta.namespace, part.slice.meta.name
        known = self._slices.get(key)
        self._slices[key] = part
        self._index_part(key, known, part)
        if known is not None and known.targets == part.targets:
            return  # only who may use an endpoint has changed, or the like
        service_key = part.slice.service
        published = self._services.get(service_key, Published(service_key, None))
        others = (one for one in published.parts if one.slice.meta.name != key[1])
        self._put(replace(published, parts=tuple(sorted((*others, part), key=_by_name))))

    def _take_part(self, part: Part) -> None:
        key = part.slice.meta.namespace, part.slice.meta.name
        del self._slices[key]
        self._index_part(key, part, None)
        published = self._services[part.slice.service]
        others = tuple(one for one in published.parts if one.slice.meta.name != key[1])
        self._put(replace(published, parts=others))

    def _put(self, published: Published) -> None:
        """A service as it is now, whose names are touched."""
        key = published.key
        self.touched.add(self._before.service_name(key))
        if self._options.ignore_empty_service:
            self.touched.update(map(reverse_name, _cluster_ips(published.service)))
        if published.service is None and not published.parts:
            self._services.pop(key, None)
        else:
            self._services[key] = published

    def _index_part(self, key: Key, known: Part | None, now: Part | None) -> None:
        before = known.hosts if known else {}
        after = now.hosts if now else {}
        self._index(
            self._endpoints, key, before.keys() - after.keys(), after.keys() - before.keys()
        )
        renamed = (ip for ip in before.keys() & after.keys() if before[ip] != after[ip])
        self.touched.update(map(reverse_name, renamed))

    def _index(self, index: _Index, key: Key, less: Iterable[str], more: Iterable[str]) -> None:
        """Note which addresses a service or a slice has no more, and which it has now."""
        for ip in less:
            _unlist(index, ip, key)
            self._touch_address(ip, -1)
        for ip in more:
            self._touch_address(ip, 1)
            _list(index, ip, key)

    def _touch_address(self, ip: str, by: int) -> None:
        """An address that nobody has had, or has any more, exists under all that is above its name."""
        if not self._has_reverse:
            return
        name = reverse_name(ip)
        self.touched.add(name)
        if ip in self._clustered or ip in self._endpoints:
            return
        above = name
        while (above := above.partition(".")[2]).count("."):
            left = self._above.get(above, 0) + by
            if left:
                self._above[above] = left
            else:
                del self._above[above]
            if left in (0, by):
                self.touched.add(above)


def _cluster_ips(service: Service | None) -> set[str]:
    if service is None or service.headless or service.type == "ExternalName":
        return set()
    return set(map(canonical, service.cluster_ips))


def _by_name(part: Part) -> str:
    return part.slice.meta.name


def _list(index: _Index, ip: str, key: Key) -> None:
    index[ip] = index.get(ip, Keys()) | {key}


def _unlist(index: _Index, ip: str, key: Key) -> None:
    left = index[ip] - {key}
    if left:
        index[ip] = left
    else:
        del index[ip]
