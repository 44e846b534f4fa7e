"""The objects that names are made of, found by what is asked for; every version shares what has not changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from immutables import Map

from testbed.dns.published import Part, Published
from testbed.dns.zone_options import ZoneOptions
from testbed.model.objects.metadata import Object
from testbed.store import Key

Changes = Iterable[tuple[str, Object]]
"""ADDED, MODIFIED or DELETED, and the object as a watch tells it."""
Keys = frozenset[Key]
_NONE: Keys = frozenset()


@dataclass(frozen=True, slots=True)
class ZoneState:
    """What a zone knows of a cluster."""

    options: ZoneOptions
    namespaces: Map[str, bool]
    """Those with an object, and whether `namespace_labels` matches."""
    inhabited: Map[str, int]
    """How many services are in a namespace, which it exists by as well."""
    services: Map[Key, Published]
    slices: Map[Key, Part]
    """By their own keys."""
    clustered: Map[str, Keys]
    """Services by cluster address."""
    endpoints: Map[str, Keys]
    """Slices by the address of an endpoint that is published."""
    above: Map[str, int]
    """How many addresses a reverse name stands above."""
    pods: Map[Key, tuple[str, ...]]
    """Addresses of the pods that run."""
    by_pod_ip: Map[str, Keys]

    @classmethod
    def nothing(cls, options: ZoneOptions) -> ZoneState:
        return cls(options, Map(), Map(), Map(), Map(), Map(), Map(), Map(), Map(), Map())

    def service(self, key: Key) -> Published | None:
        """A service that has names, or may have."""
        found = self.services.get(key)
        if found is None or not self.has_namespace(key[0]):
            return None
        return None if self.options.ignore_empty_service and found.is_idle else found

    def has_namespace(self, namespace: str) -> bool:
        """Whether it exists, and is one to publish."""
        options = self.options
        if options.namespaces and namespace not in options.namespaces:
            return False
        if options.namespace_labels is not None:
            return self.namespaces.get(namespace, False)
        return namespace in self.namespaces or namespace in self.inhabited

    def pods_at(self, ip: str) -> frozenset[Key]:
        return self.by_pod_ip.get(ip, _NONE)

    def names_of(self, ip: str) -> tuple[str, ...]:
        """The names that an address points to: its service's, else those of its endpoints."""
        for key in sorted(self.clustered.get(ip, _NONE)):
            if self.service(key):
                return (self.service_name(key),)
        names: dict[str, None] = {}
        for slice_key in sorted(self.endpoints.get(ip, _NONE)):
            part = self.slices[slice_key]
            if self.service(part.slice.service):
                service = self.service_name(part.slice.service)
                names |= {f"{host}.{service}": None for host in part.hosts[ip]}
        return tuple(names)

    def is_above_addresses(self, name: str) -> bool:
        """Whether a reverse name has names below it (RFC 8020: then it exists)."""
        return name in self.above

    def service_name(self, key: Key) -> str:
        return f"{key[1]}.{key[0]}.svc.{self.options.domain}"

    def namespace_name(self, namespace: str) -> str:
        return f"{namespace}.svc.{self.options.domain}"

    def pod_name(self, namespace: str, ip: str) -> str:
        """A name for what is known of an address among a namespace's pods."""
        return f"{ip}.{namespace}.pod.{self.options.domain}"
