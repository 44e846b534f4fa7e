"""Names of services for clients outside the cluster, as external-dns writes them into a zone.

Source: kubernetes-sigs/external-dns, its sources `service` and `ingress`, and docs/annotations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from testbed.dns.labels import WireError, encode_name
from testbed.dns.wire import AAAA, CNAME, SRV, A, Record
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Labels
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.units import duration_s

PREFIX = "external-dns.alpha.kubernetes.io/"
CONTROLLER = "dns-controller"
"""Who writes: an object whose annotation `controller` names somebody else is left to them."""

_LONGEST_TTL_S = 2**31 - 1
_SRV_PRIORITY, _SRV_WEIGHT = 0, 50
_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class OutsideName:
    """A name, and where it leads: addresses, names, or (SRV) records' data. `ttl_s` None: the zone's."""

    name: str
    type: int
    ttl_s: int | None
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """What of the cluster a service's names rest on besides itself."""

    nodes: Callable[[], Iterable[Node]]
    pods: Callable[[Service], Iterable[Pod]]
    slices: Callable[[Service], Iterable[EndpointSlice]]


def of_service(service: Service, around: Around) -> tuple[OutsideName, ...]:
    """What is published for a service: nothing without an annotation that asks for it."""
    notes = service.meta.annotations
    if not _is_ours(notes):
        return ()
    found: list[OutsideName] = []
    for hostname in _listed(notes, "hostname"):
        found += _of_hostname(service, hostname, around)
    for hostname in _listed(notes, "internal-hostname"):
        targets = _listed(notes, "target") or service.cluster_ips
        if service.type in ("ClusterIP", "LoadBalancer") and not service.headless:
            found += leading_to(hostname, targets, _ttl_s(notes))
    return tuple(found)


def hostnames(service: Service) -> tuple[str, ...]:
    """The names outside the cluster that a service is annotated with, in lower case."""
    notes = service.meta.annotations
    return tuple(name.lower() for name in _listed(notes, "hostname")) if _is_ours(notes) else ()


def of_ingress(manifest: Mapping[str, Any]) -> tuple[OutsideName, ...]:
    """What is published for an Ingress: hosts of its rules and of its certificates, and what it is
    annotated with; `ingress-hostname-source` may leave one of them out.
    """
    notes = manifest["metadata"].get("annotations") or {}
    if not _is_ours(notes):
        return ()
    spec = manifest.get("spec") or {}
    defined = [rule.get("host") or "" for rule in spec.get("rules") or ()]
    defined += [host for one in spec.get("tls") or () for host in one.get("hosts") or ()]
    annotated = _listed(notes, "hostname")
    only = notes.get(f"{PREFIX}ingress-hostname-source", "").strip()
    hosts = [] if only == "annotation-only" else defined
    hosts += [] if only == "defined-hosts-only" else annotated
    balancer = (manifest.get("status") or {}).get("loadBalancer") or {}
    targets = _listed(notes, "target") or tuple(
        one.get(key)
        for one in balancer.get("ingress") or ()
        for key in ("ip", "hostname")
        if one.get(key)
    )
    names = dict.fromkeys(host.rstrip(".") for host in hosts if host)
    return tuple(one for name in names for one in leading_to(name, targets, _ttl_s(notes)))


def records(names: Iterable[OutsideName], zone: str, ttl_s: int) -> dict[str, tuple[Record, ...]]:
    """Name in lower case -> its records, of the names in the zone. Equal input in any order: equal records.

    Who publishes a name that somebody else does, too, adds to its targets. An address is stronger than a
    CNAME, of CNAMEs the first counts, and the zone's own name has none.
    """
    by_name: dict[str, dict[int, list[OutsideName]]] = {}
    for one in names:
        if is_below(one.name, zone):
            by_name.setdefault(one.name.lower(), {}).setdefault(one.type, []).append(one)
    found: dict[str, tuple[Record, ...]] = {}
    for name, by_type in sorted(by_name.items()):
        if len(by_type) > 1 or name == zone:
            by_type.pop(CNAME, None)
        if by_type:
            found[name] = tuple(
                record
                for rtype, those in sorted(by_type.items())
                for record in _rrset(name, rtype, those, ttl_s)
            )
    return found


def is_below(name: str, zone: str) -> bool:
    """Whether a name is the zone's, or in it, and fit for a packet."""
    with suppress(WireError):
        encode_name(name)
        lower = name.lower()
        return lower == zone or lower.endswith(f".{zone}")
    return False


def _rrset(name: str, rtype: int, those: list[OutsideName], ttl_s: int) -> Iterator[Record]:
    """Records of a name and type have one TTL (RFC 2181, section 5.2): the shortest that is asked for."""
    shortest = min(ttl_s if one.ttl_s is None else one.ttl_s for one in those)
    targets = sorted({target for one in those for target in one.targets})
    for target in targets[:1] if rtype == CNAME else targets:
        yield Record(name, rtype, shortest, target)


def _of_hostname(service: Service, hostname: str, around: Around) -> list[OutsideName]:
    notes = service.meta.annotations
    ttl_s = _ttl_s(notes)
    if asked := _listed(notes, "target"):
        return leading_to(hostname, asked, ttl_s)
    if service.headless:
        return _headless(service, hostname, around)
    match service.type:
        case "LoadBalancer":
            assigned = (one.ip or one.hostname for one in service.load_balancer_ingress)
            return leading_to(hostname, service.external_ips or tuple(assigned), ttl_s)
        case "NodePort":
            return [
                *_ports(service, hostname),
                *leading_to(hostname, _nodes(service, around), ttl_s),
            ]
        case "ExternalName":
            return leading_to(hostname, service.external_ips or (service.external_name,), ttl_s)
    return []  # a cluster address means nothing outside; `internal-hostname` asks for it


def _headless(service: Service, hostname: str, around: Around) -> list[OutsideName]:
    """Its pods, each also under its own hostname."""
    ttl_s = _ttl_s(service.meta.annotations)
    on_node = service.meta.annotations.get(f"{PREFIX}endpoints-type", "") == "HostIP"
    pods = {pod.meta.name: pod for pod in around.pods(service)}
    nodes = {node.meta.name: node for node in around.nodes()} if on_node else {}
    found = []
    for endpoint in (one for item in around.slices(service) for one in item.endpoints):
        pod = pods.get(endpoint.target.name) if endpoint.target else None
        if pod is None or not (endpoint.ready or service.publish_not_ready_addresses):
            continue
        targets = _listed(pod.meta.annotations, "target") or endpoint.addresses[:1]
        if on_node and (node := nodes.get(pod.spec.node_name)):
            targets = (node.internal_ip,)
        own = [f"{pod.spec.hostname}.{hostname}"] if pod.spec.hostname else []
        for name in (hostname, *own):
            found += leading_to(name, targets, ttl_s)
    return found


def _nodes(service: Service, around: Around) -> tuple[str, ...]:
    """Addresses of the nodes that take in its packets: all, or (policy Local) those with pods of it."""
    if service.meta.annotations.get(f"{PREFIX}access") == "public":
        # No node has an ExternalIP here; its internal IPv6 address counts as public.
        return tuple(ip for node in around.nodes() for ip in node.internal_ips if ":" in ip)
    nodes = list(around.nodes())
    if service.external_traffic_policy == "Local":
        local = _local_nodes(around.pods(service))
        nodes = [node for node in nodes if node.meta.name in local]
    return tuple(ip for node in nodes for ip in node.internal_ips)


def _local_nodes(pods: Iterable[Pod]) -> frozenset[str]:
    """Nodes with a ready pod that is to stay; else with a ready one; else with one that runs."""
    running = [pod for pod in pods if pod.status.phase == "Running"]
    ready = [pod for pod in running if pod.status.ready]
    staying = [pod for pod in ready if pod.meta.deletion_s is None]
    return frozenset(pod.spec.node_name for pod in staying or ready or running)


def _ports(service: Service, hostname: str) -> Iterator[OutsideName]:
    """Where its node ports are, for clients that ask for SRV."""
    ttl_s = _ttl_s(service.meta.annotations)
    for port in service.ports:
        if port.node_port:
            name = f"_{service.meta.name}._{port.protocol.lower()}.{hostname}"
            data = f"{_SRV_PRIORITY} {_SRV_WEIGHT} {port.node_port} {hostname}."
            yield OutsideName(name, SRV, ttl_s, (data,))


def leading_to(name: str, targets: Iterable[str], ttl_s: int | None) -> list[OutsideName]:
    """A name and its targets: one for each of their types."""
    by_type: dict[int, tuple[str, ...]] = {}
    for target in targets:
        rtype = AAAA if ":" in target else A if _IPV4.fullmatch(target) else CNAME
        data = f"{target.rstrip('.')}." if rtype == CNAME else target
        by_type[rtype] = (*by_type.get(rtype, ()), data)
    return [OutsideName(name, rtype, ttl_s, found) for rtype, found in by_type.items()]


def _is_ours(notes: Labels) -> bool:
    return notes.get(f"{PREFIX}controller", CONTROLLER) == CONTROLLER


def _listed(notes: Labels, key: str) -> tuple[str, ...]:
    """An annotation's values; blanks mean nothing."""
    text = re.sub(r"\s", "", notes.get(f"{PREFIX}{key}", ""))
    return tuple(word.rstrip(".") for word in text.split(",") if word.strip("."))


def _ttl_s(notes: Labels) -> int | None:
    """Seconds, or a duration; None where nothing, or nothing possible, is asked for."""
    text = notes.get(f"{PREFIX}ttl", "").strip()
    with suppress(ValueError):
        ttl_s = int(duration_s(text)) if text else 0
        return ttl_s if 0 < ttl_s <= _LONGEST_TTL_S else None
    return None
