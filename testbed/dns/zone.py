"""What a cluster's names mean: an immutable zone, derived from the one before change by change.

Source: kubernetes/dns, docs/specification.md (schema 1.1.0); where it is silent, the RFCs on names without
records (2308, 8020); where they are, CoreDNS's plug-in `kubernetes` (docs/dns.md lists what differs).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from testbed.dns.published import Published, undashed
from testbed.dns.records import (
    Found,
    Owner,
    address,
    at_host,
    at_port,
    reversed_address,
)
from testbed.dns.wire import (
    AAAA,
    ANY,
    CNAME,
    NOERROR,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SOA,
    TXT,
    A,
    Record,
)
from testbed.dns.zone_draft import following
from testbed.dns.zone_options import ZoneOptions, is_reverse, normal
from testbed.dns.zone_state import Changes, ZoneState
from testbed.ip import canonical
from testbed.model.objects.services import Service
from testbed.store import Key

SCHEMA_VERSION = "1.1.0"
SCHEMA_TTL_S = 28800
KUBE_DNS = ("kube-system", "kube-dns")
"""The service that the zone's name server is."""

_MAX_CHAIN = 8  # CNAMEs followed inside the zone, as CoreDNS does
_MAX_SOA_TTL_S = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What the zone says. Names of its own in it keep the question's case."""

    rcode: int
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    depends: frozenset[str] = frozenset()
    """Names: while no change touches one of them, the answer stays as it is (its SOA's serial aside)."""
    elsewhere: str = ""
    """Where its CNAMEs lead to a name that the zone does not have: that name."""


class Zone:
    """The names of a cluster at one resourceVersion; versions share what they have in common."""

    __slots__ = ("_state", "options", "resource_version")

    def __init__(self, options: ZoneOptions = ZoneOptions()) -> None:  # noqa: B008 - it is frozen
        self.options = options
        self.resource_version = 0
        self._state = ZoneState.nothing(options)

    def after(self, changes: Changes, resource_version: int) -> tuple[Zone, frozenset[str]]:
        """The zone after some changes ("ADDED", "MODIFIED" or "DELETED", and the object), and the names
        that they touch.

        It costs what the changed objects cost. Kinds that have no names pass without effect.
        """
        changed = Zone.__new__(Zone)
        changed.options, changed.resource_version = self.options, resource_version
        changed._state, touched = following(self._state, changes)
        # Every version has a serial of its own, which SOA records are asked for.
        return changed, touched.union(self.options.zones)

    def covers(self, name: str) -> bool:
        """Whether the name is one that the zone answers for."""
        return bool(self._zone_of(normal(name)))

    def published(self, key: Key) -> Published | None:
        """What a service has names for; None where there is none."""
        return self._state.service(key)

    def pods_at(self, ip: str) -> frozenset[Key]:
        """Who has an address, where `pods` is verified: (namespace, name) of each."""
        return self._state.pods_at(canonical(ip))

    def lookup(self, name: str, rtype: int) -> Answer:
        """The answer to a question of class IN: records, NODATA or NXDOMAIN with the zone's SOA; REFUSED
        for names that it does not cover.
        """
        chain: tuple[Record, ...] = ()
        depends: set[str] = set()
        zone = self._zone_of(normal(name))
        if not zone:
            return Answer(REFUSED)
        while len(chain) < _MAX_CHAIN and zone:
            found = self._at(name, zone, rtype, depends)
            if found is None:
                soa = (self.soa(zone),)
                return Answer(NXDOMAIN, chain, soa, depends=frozenset(depends))
            matching = tuple(one for one in found.records if rtype in (one.type, ANY))
            if matching:
                records = chain + matching
                extra = found.additional
                return Answer(NOERROR, records, (), extra, frozenset(depends))
            alias = next((one for one in found.records if one.type == CNAME), None)
            if alias is None:
                soa = (self.soa(zone),)
                return Answer(NOERROR, chain, soa, depends=frozenset(depends))
            chain += (alias,)
            name = alias.data.rstrip(".")
            zone = self._zone_of(normal(name))
        # Out of the cluster, or round in a circle: the CNAMEs are all that the zone can say.
        return Answer(NOERROR, chain, depends=frozenset(depends), elsewhere="" if zone else name)

    def soa(self, zone: str, owner: str = "") -> Record:
        """The SOA of one of its zones: its serial is the resourceVersion that the answer rests on."""
        return _soa(zone, owner or zone, self.resource_version % 2**32, self.options.ttl_s)

    def _zone_of(self, lower: str) -> str:
        """The zone of its own that a name is in; "" for none."""
        fitting = [one for one in self.options.zones if lower == one or lower.endswith(f".{one}")]
        return max(fitting, key=len, default="")

    def _at(self, name: str, zone: str, rtype: int, depends: set[str]) -> Found | None:
        """What is at a name; None where it does not exist."""
        lower = normal(name)
        if lower == zone:
            depends.add(zone)
            return self._apex(name, zone, depends)
        if is_reverse(zone):
            depends.add(lower)
            return self._pointer(name, lower)
        match tuple(lower[: -len(zone) - 1].split(".")):
            case ("dns-version",):
                found: Found | None = Found(
                    (Record(name, TXT, SCHEMA_TTL_S, f'"{SCHEMA_VERSION}"'),)
                )
            case ("dns",) | ("svc",) | ("pod",):
                found = Found()
            case ("ns", "dns"):
                found = self._service(name, rtype, KUBE_DNS, depends) or Found()
            case (namespace, "svc"):
                depends.add(self._state.namespace_name(namespace))
                found = Found() if self._state.has_namespace(namespace) else None
            case (*below, service, namespace, "svc"):
                found = self._service(name, rtype, (namespace, service), depends, tuple(below))
            case (*below, namespace, "pod") if len(below) < 2:
                found = self._pod(name, "".join(below), namespace, depends)
            case _:
                found = None
        return found

    def _apex(self, name: str, zone: str, depends: set[str]) -> Found:
        """The zone itself: its SOA and its name server, with the latter's address."""
        server = f"ns.dns.{self.options.domain}"
        found = self._service(server, ANY, KUBE_DNS, depends) or Found()
        addresses = tuple(record for record in found.records if record.type in (A, AAAA))
        nameserver = Record(name, NS, self.options.ttl_s, f"{server}.")
        return Found((self.soa(zone, name), nameserver), addresses)

    def _service(
        self, name: str, rtype: int, key: Key, depends: set[str], below: tuple[str, ...] = ()
    ) -> Found | None:
        """A service's name, and those below it."""
        state, ttl_s = self._state, self.options.ttl_s
        service_name = state.service_name(key)
        depends |= {service_name, state.namespace_name(key[0])}
        found = state.service(key)
        if found is None or found.service is None:
            return None
        owner = Owner(name, service_name, ttl_s)
        if found.service.type == "ExternalName":
            return None if below else _alias(owner, found.service)
        if below:
            return _below(owner, found, below, rtype)
        # Section 2.4.1: a headless service without a ready endpoint does not exist.
        exists = found.targets or not found.service.headless
        return at_host(owner, found.targets, rtype) if exists else None

    def _pod(self, name: str, label: str, namespace: str, depends: set[str]) -> Found | None:
        """`a-b-c-d.NAMESPACE.pod`, or the namespace alone where the label is ""."""
        state, mode = self._state, self.options.pods
        depends.add(state.namespace_name(namespace))
        if mode == "disabled" or not state.has_namespace(namespace):
            return None
        ip = canonical(undashed(label)) if label else ""
        if not ip:
            return None if label else Found()
        if mode == "verified":
            depends.add(state.pod_name(namespace, ip))
            if all(key[0] != namespace for key in state.pods_at(ip)):
                return None
        return Found((address(name, ip, self.options.ttl_s),))

    def _pointer(self, name: str, lower: str) -> Found | None:
        """PTR records of an address: the service that has it, else the endpoints that do."""
        names = self._state.names_of(reversed_address(lower))
        if not names:
            return Found() if self._state.is_above_addresses(lower) else None
        ttl_s = self.options.ttl_s
        return Found(tuple(Record(name, PTR, ttl_s, f"{target}.") for target in names))


@lru_cache(maxsize=64)
def _soa(zone: str, owner: str, serial: int, ttl_s: int) -> Record:
    data = f"ns.dns.{zone}. hostmaster.{zone}. {serial} 7200 1800 86400 {ttl_s}"
    return Record(owner, SOA, min(ttl_s, _MAX_SOA_TTL_S), data)


def _alias(owner: Owner, service: Service) -> Found | None:
    """The CNAME of an ExternalName service; one whose name is an address has no record, as in CoreDNS."""
    target = service.external_name.rstrip(".")
    if canonical(target):
        return None
    return Found((Record(owner.name, CNAME, owner.ttl_s, f"{target}."),))


def _below(owner: Owner, found: Published, below: tuple[str, ...], rtype: int) -> Found | None:
    """Names below a service's: `ENDPOINT`, `_PORT._PROTOCOL`, and `_PROTOCOL` above the latter."""
    if len(below) == 1 and not below[0].startswith("_"):
        targets = found.endpoints.get(below[0])
        return at_host(owner, targets, rtype) if targets else None
    if len(below) > 2 or not all(label.startswith("_") for label in below):
        return None
    *port, protocol = (label[1:] for label in below)
    named = [one for one in found.targets if one.protocol == protocol and one.port_name]
    if port:
        named = [one for one in named if one.port_name == port[0]]
    if not named:
        return None
    return at_port(owner, named, rtype) if port else Found()
