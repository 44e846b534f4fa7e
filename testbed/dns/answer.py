"""What a cluster's DNS says to a question: Kubernetes' DNS specification as CoreDNS serves it.

Source: kubernetes/dns, docs/specification.md (schema 1.1.0), sections 2.3.1, 2.4.1 and 2.5; where
it is silent, CoreDNS's `kubernetes` plug-in without `forward`. A and AAAA of services, headless
services and their endpoints, CNAME of ExternalName services, SOA and NS of the zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.dns.names import NameTable
from testbed.dns.wire import (
    AAAA,
    ANY,
    CNAME,
    IN,
    NOERROR,
    NS,
    NXDOMAIN,
    REFUSED,
    SOA,
    A,
    Question,
    Record,
)
from testbed.model.objects import Endpoint, Service

TTL_S = 5
"""CoreDNS's default for names and for their absence (`ttl` of its plug-in `kubernetes`)."""

KUBE_DNS = ("kube-system", "kube-dns")
"""The service whose address `ns.dns` of the zone has."""

_MAX_CHAIN = 8  # CNAMEs followed inside the zone, as CoreDNS does
_SOA_TIMES = f"7200 1800 86400 {TTL_S}"  # refresh, retry, expire, minimum, as CoreDNS says them


@dataclass(frozen=True, slots=True)
class Answer:
    """Records for the answer and the authority section. Names in them keep the question's case."""

    rcode: int
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()


def answer(question: Question, names: NameTable) -> Answer:
    """The answer to a question: records, NODATA or NXDOMAIN with the zone's SOA, or REFUSED.

    REFUSED is for names outside the zone and classes other than IN: nobody is asked on their
    behalf.
    """
    if question.class_ != IN or _relative(question.name, names.domain) is None:
        return Answer(REFUSED)
    chain: tuple[Record, ...] = ()
    name = question.name
    while len(chain) < _MAX_CHAIN and _relative(name, names.domain) is not None:
        records = _records_of(name, names)
        if records is None:
            return Answer(NXDOMAIN, chain, (_soa(names),))
        matching = tuple(record for record in records if question.type in (record.type, ANY))
        if matching:
            return Answer(NOERROR, chain + matching)
        alias = next((record for record in records if record.type == CNAME), None)
        if alias is None:
            return Answer(NOERROR, chain, (_soa(names),))
        chain += (alias,)
        name = alias.data.rstrip(".")
    # Out of the cluster, or round in a circle: without an upstream the CNAMEs are all there is to
    # say.
    return Answer(NOERROR, chain)


def rotated(reply: Answer, by: int) -> Answer:
    """The same answer, its address records `by` places further round.

    CoreDNS's `loadbalance` plug-in varies their order with the query's id; without it all clients
    would dial the first pod of a headless service.
    """
    addresses = [record for record in reply.answers if record.type in (A, AAAA)]
    if len(addresses) < 2:
        return reply
    rest = tuple(record for record in reply.answers if record.type not in (A, AAAA))
    start = by % len(addresses)
    return replace(reply, answers=(*rest, *addresses[start:], *addresses[:start]))


def _records_of(name: str, names: NameTable) -> tuple[Record, ...] | None:
    """All records at a name; () where it exists without any, None where it does not exist."""
    found: tuple[Record, ...] | None = None
    match _relative(name, names.domain):
        case ():
            nameserver = Record(name, NS, TTL_S, f"ns.dns.{names.domain}.")
            found = (replace(_soa(names), name=name), nameserver)
        case ("dns",) | ("svc",):
            found = ()
        case ("ns", "dns"):
            found = _of_service(name, names.service(*KUBE_DNS), names) or ()
        case (namespace, "svc"):
            found = () if names.has_namespace(namespace) else None
        case (service, namespace, "svc"):
            found = _of_service(name, names.service(namespace, service), names)
        case (host, service, namespace, "svc"):
            found = _of_endpoint(name, host, names.service(namespace, service), names)
    return found


def _of_service(name: str, service: Service | None, names: NameTable) -> tuple[Record, ...] | None:
    if service is None:
        return None
    if service.type == "ExternalName":
        return (Record(name, CNAME, TTL_S, f"{service.external_name.rstrip('.')}."),)
    if not service.headless:
        return tuple(_address(name, ip) for ip in service.cluster_ips)
    addresses = {ip: None for endpoint in names.published(service) for ip in endpoint.addresses}
    # Section 2.4.1: without a ready endpoint a headless service's name does not exist.
    return tuple(_address(name, ip) for ip in addresses) or None


def _of_endpoint(
    name: str, host: str, service: Service | None, names: NameTable
) -> tuple[Record, ...] | None:
    if service is None:
        return None
    addresses = {
        ip: None
        for endpoint in names.published(service)
        for ip in endpoint.addresses
        if host == _hostname(endpoint, ip)
    }
    return tuple(_address(name, ip) for ip in addresses) or None


def _hostname(endpoint: Endpoint, ip: str) -> str:
    """The endpoint's own name under its service: its hostname, else its address with dashes."""
    return endpoint.hostname.lower() or ip.replace(".", "-").replace(":", "-")


def _address(name: str, ip: str) -> Record:
    return Record(name, AAAA if ":" in ip else A, TTL_S, ip)


def _soa(names: NameTable) -> Record:
    """The zone's SOA: its serial is the store's resourceVersion that the answer rests on."""
    zone = names.domain
    serial = names.resource_version % 2**32
    data = f"ns.dns.{zone}. hostmaster.{zone}. {serial} {_SOA_TIMES}"
    return Record(zone, SOA, TTL_S, data)


def _relative(name: str, domain: str) -> tuple[str, ...] | None:
    """Labels of a name in front of the zone's, in lower case; None outside the zone."""
    lower = name.lower().rstrip(".")
    if lower == domain:
        return ()
    return tuple(lower[: -len(domain) - 1].split(".")) if lower.endswith(f".{domain}") else None
