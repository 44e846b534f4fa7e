"""The iptables rules that lead one service port to the userspace proxy's process.

kube-proxy 1.25 is the model (pkg/proxy/userspace/proxier.go, the last release that had the mode), started with
the node's address as `--bind-address`: REDIRECT needs an address on the link where a packet comes in, and
a routed pod link has none. Its `! --physdev-is-in` is left out, because no packet comes in by a bridge's port.

`documented` is what Kubernetes promises of every proxy: reject, drop and the two traffic policies, which
kube-proxy's own did not know in this mode. Neither can keep a client's address: the process dials for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.table import ServicePortEntry
from testbed.proxy.userspace_table import Listener

FROM_PODS, FROM_HOST = "KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST"
NODE_PORTS_FROM_PODS, NODE_PORTS_FROM_HOST = "KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST"
NON_LOCAL = "KUBE-NODEPORT-NON-LOCAL"
REFUSED = "KUBE-PORTALS-REFUSED"
"""Ours, profile `documented` only: who cannot be served is told, or dropped."""

LOCAL_SUFFIX = "/local"
_LOCAL_ADDRESS = " -m addrtype --dst-type LOCAL"


@dataclass(frozen=True, slots=True)
class Place:
    """What the rules of every service port depend on beside the port itself."""

    node_ip: str
    cluster_cidr: str
    documented: bool

    @property
    def reject(self) -> str:
        kind = "icmp6" if ":" in self.node_ip else "icmp"
        return f"REJECT --reject-with {kind}-port-unreachable"

    def at(self, port: int) -> str:
        return f"[{self.node_ip}]:{port}" if ":" in self.node_ip else f"{self.node_ip}:{port}"


@dataclass(frozen=True, slots=True)
class PortRules:
    """One service port: its listeners, and its lines by chain."""

    entry: ServicePortEntry
    listeners: tuple[Listener, ...]
    lines: dict[str, tuple[str, ...]]


def base_name(entry: ServicePortEntry) -> str:
    """`namespace/service:port/protocol`."""
    return f"{entry.name}/{entry.protocol}"


def listener_names(entry: ServicePortEntry, documented: bool) -> tuple[str, ...]:
    """Names of the listeners that a service port has."""
    if not documented:
        return (base_name(entry),)
    return tuple(
        name
        for name, endpoints in (
            (base_name(entry), entry.cluster_endpoints),
            (base_name(entry) + LOCAL_SUFFIX, entry.local_endpoints),
        )
        if endpoints
    )


def port_rules(entry: ServicePortEntry, place: Place, ports: tuple[int, ...]) -> PortRules:
    """All of a service port; `ports` are its listeners', in the order of `listener_names`."""
    return _Writer(entry, place, ports).written()


class _Writer:
    """Collects the lines of one service port."""

    def __init__(self, entry: ServicePortEntry, place: Place, ports: tuple[int, ...]) -> None:
        self._entry = entry
        self._place = place
        names = listener_names(entry, place.documented)
        self._ports = dict(zip(names, ports, strict=True))
        self._lines: dict[str, list[str]] = {}

    def written(self) -> PortRules:
        if self._place.documented:
            self._documented()
        else:
            self._as_kube_proxy()
        lines = {chain: tuple(rules) for chain, rules in self._lines.items()}
        return PortRules(self._entry, tuple(map(self._listener, self._ports)), lines)

    def _listener(self, name: str) -> Listener:
        entry = self._entry
        endpoints: tuple[ServiceEndpoint, ...] = entry.ready_endpoints
        if self._place.documented:
            local = name.endswith(LOCAL_SUFFIX)
            endpoints = entry.local_endpoints if local else entry.cluster_endpoints
        return Listener(
            name,
            entry.protocol,
            self._place.at(self._ports[name]),
            tuple(endpoint.text for endpoint in endpoints),
            entry.affinity_s,
        )

    # As kube-proxy did: whoever comes is accepted, whatever the endpoints

    def _as_kube_proxy(self) -> None:
        entry = self._entry
        (port,) = self._ports.values()
        for ip in (entry.cluster_ip, *entry.external_ips, *entry.load_balancer_ips):
            self._portal(FROM_PODS, port, ip)
        for ip in (entry.cluster_ip, *entry.load_balancer_ips):
            self._portal(FROM_HOST, port, ip)
        for ip in entry.external_ips:
            self._portal(FROM_HOST, port, ip, more=_LOCAL_ADDRESS)
        if entry.node_port:
            self._portal(NODE_PORTS_FROM_PODS, port)
            self._portal(NODE_PORTS_FROM_HOST, port)
            self._non_local(port)

    # As Kubernetes documents it

    def _documented(self) -> None:
        entry = self._entry
        anywhere = self._ports.get(base_name(entry), 0)
        here = self._ports.get(base_name(entry) + LOCAL_SUFFIX, 0)
        inside = here if entry.internal_local else anywhere
        for chain in (FROM_PODS, FROM_HOST):
            self._portal(chain, inside, entry.cluster_ip)
        if not inside:
            self._refuse(entry.cluster_ip)
        for ip in entry.external_ips:
            self._external(ip, anywhere, here)
        sources = entry.load_balancer_source_ranges
        if entry.node_in_source_ranges:
            sources += tuple(_only(ip) for ip in entry.load_balancer_ips)
        for ip in entry.load_balancer_ips:
            self._external(ip, anywhere, here, sources)
        if entry.node_port:
            self._external("", anywhere, here)

    def _external(self, ip: str, anywhere: int, here: int, sources: tuple[str, ...] = ()) -> None:
        """An address for outsiders ("": node ports). Pods and the node itself are none: policy Local
        holds for others only.
        """
        entry = self._entry
        pods, host = (FROM_PODS, FROM_HOST) if ip else (NODE_PORTS_FROM_PODS, NODE_PORTS_FROM_HOST)
        limited = sources if not any(one.endswith("/0") for one in sources) else ()
        outside = here if entry.external_local else anywhere
        if entry.external_local and self._place.cluster_cidr and not limited:
            self._portal(pods, anywhere, ip, self._place.cluster_cidr)
        for source in limited or ("",):
            self._portal(pods, outside, ip, source)
            self._portal(host, anywhere, ip, source)
        if limited:
            self._refuse(ip, "DROP")
        elif not outside:
            self._refuse(ip)
        for port in {anywhere, outside} - {0}:
            if not ip:
                self._non_local(port)

    # Single rules

    def _portal(
        self, chain: str, port: int, ip: str = "", source: str = "", more: str = ""
    ) -> None:
        """A destination (without an address: the node port) to a listener; none without listener."""
        if port:
            entry = self._entry
            dport = entry.port if ip else entry.node_port
            self._rule(
                chain,
                ip,
                source,
                f"--dport {dport}{more}",
                f"DNAT --to-destination {self._at(port)}",
            )

    def _at(self, port: int) -> str:
        return self._place.at(port)

    def _non_local(self, port: int) -> None:
        self._rule(NON_LOCAL, "", "", f"--dport {port} -m conntrack --ctstate NEW", "ACCEPT")

    def _refuse(self, ip: str, target: str = "") -> None:
        """What nobody serves: dropped where somebody elsewhere could, rejected where nobody can."""
        entry = self._entry
        match = f"--dport {entry.port}" if ip else f"--dport {entry.node_port}{_LOCAL_ADDRESS}"
        verdict = target or ("DROP" if entry.has_endpoints else self._place.reject)
        self._rule(REFUSED, ip, "", match, verdict)

    def _rule(self, chain: str, ip: str, source: str, match: str, target: str) -> None:
        """In the order in which iptables-save prints a rule."""
        protocol, name = self._entry.protocol, self._entry.name
        src = f" -s {source}" if source else ""
        dst = f" -d {_only(ip)}" if ip else ""
        self._lines.setdefault(chain, []).append(
            f'-A {chain}{src}{dst} -p {protocol} -m comment --comment "{name}"'
            f" -m {protocol} {match} -j {target}"
        )


def _only(ip: str) -> str:
    return f"{ip}/{128 if ':' in ip else 32}"
