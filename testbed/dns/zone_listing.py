"""Every name of a zone with its records, kept up change by change: what is handed to other DNS programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.dns.published import Published, dashed
from testbed.dns.records import reverse_name
from testbed.dns.wire import ANY, NOERROR, Record
from testbed.dns.zone import Zone
from testbed.dns.zone_options import ZoneOptions
from testbed.dns.zone_state import Changes
from testbed.model.documents import Namespace
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Key

Records = Mapping[str, tuple[Record, ...]]
"""Name in lower case -> its records."""


class ZoneListing:
    """What the zone answers for each of its names, and nothing else: names that it would make up on being
    asked (`pods insecure`) are no part of it, those of pods that run are (`pods verified`).
    """

    def __init__(self, options: ZoneOptions) -> None:
        self.zone = Zone(options)
        self.records: dict[str, tuple[Record, ...]] = {}
        self._names: dict[tuple[str, Key], frozenset[str]] = {}
        """What each service, and each pod, has names for."""

    def follow(self, changes: Changes, resource_version: int) -> Records:
        """Take in some changes; the names that have other records now, with those that they had. As
        `Zone.after`, it costs what the changed objects cost. The zone's own name, whose SOA has a serial,
        changes with the others and is not told.
        """
        told = tuple(changes)
        namespaces = {_namespace(item) for _, item in told}
        there = {one for one in namespaces if self._has(one)}
        self.zone, _ = self.zone.after(told, resource_version)
        doubtful = set(self._fixed())
        for kind_of_change, item in told:
            key = (item.meta.namespace, item.meta.name)
            if isinstance(item, Service):
                doubtful |= self._doubtful("service", key, self._of_service(key))
            elif isinstance(item, EndpointSlice):
                doubtful |= self._doubtful("service", item.service, self._of_service(item.service))
            elif isinstance(item, Pod):
                has_any = kind_of_change != "DELETED"
                names = self._of_pod(item) if has_any else iter(())
                doubtful |= self._doubtful("pod", key, names)
        turned = {one for one in namespaces if self._has(one) != (one in there)}
        for (_, (namespace, _)), theirs in self._names.items() if turned else ():
            doubtful |= theirs if namespace in turned else frozenset()
        before = {name: self.records.get(name, ()) for name in doubtful}
        changed = {name: before[name] for name in doubtful if self._looked_up(name)}
        if changed or not self.records:
            self._looked_up(self.zone.options.domain)
        return changed

    def _has(self, namespace: str) -> bool:
        """Whether a namespace exists to DNS: without that none of its objects has names."""
        name = f"{namespace}.svc.{self.zone.options.domain}"
        return self.zone.lookup(name, ANY).rcode == NOERROR

    def _doubtful(self, kind: str, key: Key, names: Iterator[str]) -> frozenset[str]:
        """The names that it had, and has."""
        now, before = frozenset(names), self._names.get((kind, key), frozenset())
        if now:
            self._names[kind, key] = now
        else:
            self._names.pop((kind, key), None)
        return now | before

    def _looked_up(self, name: str) -> bool:
        """Whether a name has other records than before."""
        found = self.zone.lookup(name, ANY)
        own = tuple(one for one in found.answers if one.name == name)
        if own == self.records.get(name, ()):
            return False
        if own:
            self.records[name] = own
        else:
            del self.records[name]
        return True

    def _fixed(self) -> Iterator[str]:
        """Names that a zone has by itself."""
        domain = self.zone.options.domain
        yield from (f"dns-version.{domain}", f"ns.dns.{domain}")

    def _of_service(self, key: Key) -> Iterator[str]:
        found = self.zone.published(key)
        if found is None:
            return
        name = f"{key[1]}.{key[0]}.svc.{self.zone.options.domain}"
        yield name
        yield from (f"{host}.{name}" for host in found.endpoints)
        yield from (
            f"_{one.port_name}._{one.protocol}.{name}" for one in found.targets if one.port_name
        )
        yield from map(reverse_name, _addresses(found))

    def _of_pod(self, pod: Pod) -> Iterator[str]:
        for ip in pod.status.pod_ips:
            yield f"{dashed(ip)}.{pod.meta.namespace}.pod.{self.zone.options.domain}"


def _namespace(item: Object) -> str:
    return item.meta.name if isinstance(item, Namespace) else item.meta.namespace


def _addresses(found: Published) -> frozenset[str]:
    own = () if found.service is None else found.service.cluster_ips
    endpoints = (target.ip for part in found.parts for target in part.targets)
    return frozenset((*(ip for ip in own if ip not in ("", "None")), *endpoints))
