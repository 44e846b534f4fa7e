"""What one service port needs on one node in IPVS mode: virtual servers, set entries, addresses.

Everything is a map from a key, which names a thing in the kernel, to the lines that make it, in the
syntax of the tool that takes them (`ip -batch`, `ipset restore`, `ipvsadm --restore`).

Source: `syncProxyRules` in kubernetes/pkg/proxy/ipvs/proxier.go (1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.ipvs_sets import NODE_PORTS, Set, network_text, set_name
from testbed.proxy.packet import host_port
from testbed.proxy.table import ServicePortEntry

DEVICE = "kube-ipvs0"
"""The dummy device that holds the service addresses. It stays down: a local address needs no link."""
MASQUERADED = "-m -w 1"
"""How a packet is forwarded, and the weight of a destination that takes traffic."""

Lines = dict[str, tuple[str, ...]]

_SERVICE_FLAG = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_SOURCE_PORT_HASHED = " -b mh-port"
"""kube-proxy hashes source ports too with Maglev (IP_VS_SVC_F_SCHED_MH_PORT), so clients do not stick."""


@dataclass(frozen=True, slots=True)
class Style:
    """What all nodes of one IP family have in common."""

    family: int
    scheduler: str
    documented: bool


@dataclass(frozen=True, slots=True)
class Site:
    """What differs from node to node."""

    node: str
    own_ips: tuple[str, ...]
    """The node's addresses: never bound to the dummy device."""
    node_port_ips: tuple[str, ...]
    """Those of them on which node ports answer."""


class Part(NamedTuple):
    """Key -> lines, by where they go. `denied` and `short` are rules of filter and nat."""

    address: Lines
    ipset: Lines
    ipvs: Lines
    denied: Lines
    short: Lines


class _Target(NamedTuple):
    """A virtual server to be: where, and which endpoints it may use."""

    ip: str
    port: int
    local: bool
    external: bool


def common_part(entry: ServicePortEntry, style: Style) -> Part:
    """What a service port needs on every node that has this entry."""
    made = Part({}, {}, {}, {}, {})
    targets = [_Target(entry.cluster_ip, entry.port, entry.internal_local, False)]
    for ip in (*entry.external_ips, *entry.load_balancer_ips):
        targets.append(_Target(ip, entry.port, entry.external_local, True))
    for target in targets:
        for key, lines in bound(target.ip, style).items():
            made.address[key] = lines
        name = set_name(Set.IPVS_IPS, style.family)
        made.ipset[f"{name} {target.ip}"] = (f"add {name} {target.ip}",)
        _serve(made, entry, target, style)
    _enter(made, _set_entries(entry), style)
    for rule in _denials(entry, style):
        made.denied[rule] = (rule,)
    return made


def own_part(entry: ServicePortEntry, style: Style, site: Site) -> Part:
    """What a service port needs on one node beside that: its own node ports, its own endpoints."""
    made = node_port_part(entry, style, site)
    for endpoint in everybody(entry):
        if endpoint.node == site.node:
            key, lines = loop_back(entry.protocol, endpoint, style)
            made.ipset[key] = lines
    return made


def node_port_part(entry: ServicePortEntry, style: Style, site: Site) -> Part:
    """What a service port's node port needs on one node; nothing where it has none."""
    made = Part({}, {}, {}, {}, {})
    if entry.node_port:
        for ip in site.node_port_ips:
            _serve(made, entry, _Target(ip, entry.node_port, entry.external_local, True), style)
        _enter(made, _node_port_entries(entry, site), style)
    return made


def loop_back(
    protocol: str, endpoint: ServiceEndpoint, style: Style
) -> tuple[str, tuple[str, ...]]:
    """The set entry, with its key, that an endpoint needs on its own node."""
    ip = endpoint.ip
    key = f"{set_name(Set.LOOP_BACK, style.family)} {_item(ip, protocol, endpoint.port)},{ip}"
    return key, (f"add {key}",)


def bound(ip: str, style: Style) -> Lines:
    """An address of the dummy device, by its key."""
    address = _whole(ip, style)
    return {address: (f"addr add {address} dev {DEVICE}",)}


def _enter(made: Part, items: Iterable[tuple[Set, str]], style: Style) -> None:
    for one, line in items:
        name = set_name(one, style.family)
        made.ipset[f"{name} {line}"] = (f"add {name} {line}",)


def _serve(made: Part, entry: ServicePortEntry, target: _Target, style: Style) -> None:
    """The virtual server of a target, its destinations, and the short way for the cluster's own."""
    if style.documented and target.external and target.local:
        _short_circuit(made, entry, target, style)
    endpoints = entry.local_endpoints if target.local else entry.cluster_endpoints
    if target.local and not endpoints:
        if style.documented and entry.has_endpoints:
            one = Set.NO_LOCAL_EXTERNAL if target.external else Set.NO_LOCAL
            _enter(made, [(one, _item(target.ip, entry.protocol, target.port))], style)
            if not target.external:
                return
        # kube-proxy falls back to every endpoint, without SNAT (its PR 97081): pods on this node
        # get an answer, and clients from outside get theirs from an address they did not dial.
        endpoints = entry.cluster_endpoints or entry.ready_endpoints
    service = f"{_SERVICE_FLAG[entry.protocol]} {host_port(target.ip, target.port)}"
    made.ipvs[service] = (
        f"-A {service} -s {style.scheduler}{_flags(entry, style)}",
        *[f"-a {service} -r {endpoint.text} {MASQUERADED}" for endpoint in endpoints],
    )


def _flags(entry: ServicePortEntry, style: Style) -> str:
    persistent = f" -p {entry.affinity_s}" if entry.affinity_s else ""
    return persistent + (_SOURCE_PORT_HASHED if style.scheduler == "mh" else "")


def _set_entries(entry: ServicePortEntry) -> Iterator[tuple[Set, str]]:
    protocol, port = entry.protocol, entry.port
    yield Set.CLUSTER_IP, _item(entry.cluster_ip, protocol, port)
    for ip in entry.external_ips:
        local = Set.EXTERNAL_IP_LOCAL if entry.external_local else Set.EXTERNAL_IP
        yield local, _item(ip, protocol, port)
    for ip in entry.load_balancer_ips:
        yield Set.LOAD_BALANCER, _item(ip, protocol, port)
        if entry.external_local:
            yield Set.LOAD_BALANCER_LOCAL, _item(ip, protocol, port)
        yield from _allowed_sources(entry, ip)
    if entry.health_check_node_port:
        yield Set.HEALTH_CHECK_NODE_PORT, str(entry.health_check_node_port)


def everybody(entry: ServicePortEntry) -> Iterable[ServiceEndpoint]:
    """The endpoints in any use, each once: whoever may answer may dial itself."""
    most = entry.cluster_endpoints
    rest = [one for one in (entry.ready_endpoints, entry.serving_endpoints) if one != most]
    return dict.fromkeys(chain(most, *rest)) if rest else most


def _allowed_sources(entry: ServicePortEntry, ip: str) -> Iterator[tuple[Set, str]]:
    item = _item(ip, entry.protocol, entry.port)
    ranges = entry.load_balancer_source_ranges
    if ranges:
        yield Set.LOAD_BALANCER_FW, item
    for cidr in ranges:
        yield Set.LOAD_BALANCER_SOURCE_CIDR, f"{item},{network_text(cidr)}"
    if ranges and entry.node_in_source_ranges:
        # The node dials a load balancer's address from that address: it is its own.
        yield Set.LOAD_BALANCER_SOURCE_IP, f"{item},{ip}"


def _node_port_entries(entry: ServicePortEntry, site: Site) -> Iterator[tuple[Set, str]]:
    every, local = NODE_PORTS[entry.protocol]
    if not site.node_port_ips:
        return
    if entry.protocol == "sctp":
        items = [_item(ip, "sctp", entry.node_port) for ip in site.node_port_ips]
    else:
        items = [str(entry.node_port)]
    for item in items:
        yield every, item
        if entry.external_local:
            yield local, item


def _short_circuit(made: Part, entry: ServicePortEntry, target: _Target, style: Style) -> None:
    """Who is inside the cluster gets all endpoints: through the cluster IP's virtual server, where that is
    not as local and the target's own does not have them all.
    """
    if target.ip in entry.load_balancer_ips and entry.load_balancer_source_ranges:
        return  # its source ranges hold for everybody
    protocol = entry.protocol
    where = f"-d {_whole(target.ip, style)} -p {protocol} -m {protocol} --dport {target.port}"
    onwards = entry.local_endpoints and not entry.internal_local
    to = host_port(entry.cluster_ip, entry.port)
    made.short[where] = (f"DNAT --to-destination {to}",) if onwards else ()


def _denials(entry: ServicePortEntry, style: Style) -> Iterator[str]:
    """What KUBE-IPVS-OUT-FILTER drops: the node itself dials an address that its ranges deny it."""
    if not entry.load_balancer_source_ranges or entry.node_in_source_ranges:
        return
    for ip in entry.load_balancer_ips:
        yield (
            f"-s {_whole(ip, style)} -m ipvs --vproto {_PROTOCOL_NUMBER[entry.protocol]}"
            f" --vaddr {ip} --vport {entry.port} -j DROP"
        )


_PROTOCOL_NUMBER = {"tcp": 6, "udp": 17, "sctp": 132}


def _whole(ip: str, style: Style) -> str:
    """The network that is one address."""
    return f"{ip}/{32 if style.family == 4 else 128}"


def _item(ip: str, protocol: str, port: int) -> str:
    return f"{ip},{protocol}:{port}"
