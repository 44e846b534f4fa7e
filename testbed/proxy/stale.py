"""UDP connection tracking entries that outlived their endpoint: which ones, and how to delete them.

A UDP client that keeps its port keeps its conntrack entry, and so its backend, for as long as it
sends. After a change of endpoints the entries that lead elsewhere must go, or a resolver's queries
vanish. kube-proxy 1.36 forgets services whose last endpoint went (kubernetes #139628) and deleted
services (#141371); the documentation promises both, and profile `documented` does both. TCP entries
are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from testbed.command import Command
from testbed.proxy.table import ForwardingTable, ServicePortEntry

NOTHING_DELETED = "0 flow entries"
"""What `conntrack -D` says, with code 1, where no entry matches any more."""


def listing(table: ForwardingTable) -> Command:
    """Prints the UDP entries of the table's family, for `parse_flows`."""
    return Command(("conntrack", "-L", *_family(table.config.family), "-p", "udp"))


def _family(family: int) -> tuple[str, ...]:
    return ("-f", "ipv6") if family == 6 else ()


class Flow(NamedTuple):
    """Entries of one destination and one answering side; the client's side makes no difference."""

    dst: str
    dport: int
    reply_src: str
    reply_sport: int

    @property
    def translated(self) -> bool:
        return (self.dst, self.dport) != (self.reply_src, self.reply_sport)


def parse_flows(text: str) -> set[Flow]:
    """The flows of `conntrack -L -p udp`'s output; lines of other protocols are skipped."""
    flows: set[Flow] = set()
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] != "udp":
            continue
        # Each key comes twice: first as the client sent it, then as the answer comes.
        pairs = [word.split("=", 1) for word in words if "=" in word]
        dst, dport = _values(pairs, "dst")[0], _values(pairs, "dport")[0]
        reply_src, reply_sport = _values(pairs, "src")[1], _values(pairs, "sport")[1]
        flows.add(Flow(dst, int(dport), reply_src, int(reply_sport)))
    return flows


def _values(pairs: list[list[str]], key: str) -> list[str]:
    return [value for name, value in pairs if name == key]


def needs_look(before: ForwardingTable | None, now: ForwardingTable) -> bool:
    """Whether the entries must be looked through: the endpoints of a UDP service port changed.

    Profile `documented` looks after any other change of such a port as well.
    """
    if now.config.keep_stale_udp:
        return False
    if before is None:
        return bool(_udp(now.ports) if now.config.documented else _endpoints(now.ports))
    changed = now.by_service.changed_since(before.by_service).values()
    old = [entry for entries, _ in changed for entry in entries or ()]
    new = [entry for _, entries in changed for entry in entries or ()]
    if now.config.documented:
        return _udp(old) != _udp(new)
    return _endpoints(old) != _endpoints(new)


def stale_flows(
    flows: Iterable[Flow], before: ForwardingTable | None, now: ForwardingTable
) -> list[Flow]:
    """Flows to a service (now, or before the change) that none of its serving endpoints answers,
    sorted.
    """
    serving = _serving(now)
    gone = _serving(before if now.config.documented else None)
    local = set(now.node_ips)
    stale: list[Flow] = []
    for flow in flows:
        target = (flow.reply_src, flow.reply_sport)
        to_node = flow.translated or flow.dst in local
        targets = serving.of(flow, to_node)
        if targets is not None and flow.translated and flow.reply_src in local:
            continue  # a process of the node answers (userspace mode): it knows its endpoints itself
        if targets is None:
            is_stale = flow.translated and gone.of(flow, to_node) is not None
        else:
            is_stale = target not in targets and (bool(targets) or now.config.documented)
        if is_stale:
            stale.append(flow)
    return sorted(stale)


def deletion(flow: Flow) -> Command:
    """Deletes the entries of a flow. It fails, saying NOTHING_DELETED, where they are gone already."""
    return Command(
        (
            *("conntrack", "-D", *_family(6 if ":" in flow.dst else 4), "-p", "udp"),
            *("--orig-dst", flow.dst, "--orig-port-dst", str(flow.dport)),
            *("--reply-src", flow.reply_src, "--reply-port-src", str(flow.reply_sport)),
        )
    )


_Targets = frozenset[tuple[str, int]]


class _Serving(NamedTuple):
    """The serving endpoints of each UDP service port, by where it is reached."""

    addresses: Mapping[tuple[str, int], _Targets]
    node_ports: Mapping[int, _Targets]

    def of(self, flow: Flow, to_node: bool) -> _Targets | None:
        """Who may answer a flow; None: it leads to no service."""
        found = self.addresses.get((flow.dst, flow.dport))
        return self.node_ports.get(flow.dport) if found is None and to_node else found


def _udp(entries: Iterable[ServicePortEntry]) -> list[ServicePortEntry]:
    return [entry for entry in entries if entry.protocol == "udp"]


def _endpoints(entries: Iterable[ServicePortEntry]) -> dict[str, object]:
    return {
        entry.name: (entry.ready_endpoints, entry.serving_endpoints, entry.known_endpoints)
        for entry in _udp(entries)
        if entry.known_endpoints
    }


def _serving(table: ForwardingTable | None) -> _Serving:
    addresses: dict[tuple[str, int], _Targets] = {}
    node_ports: dict[int, _Targets] = {}
    for entry in _udp(table.ports if table else ()):
        targets = frozenset((endpoint.ip, endpoint.port) for endpoint in entry.serving_endpoints)
        for ip in (entry.cluster_ip, *entry.external_ips, *entry.load_balancer_ips):
            addresses[ip, entry.port] = targets
        if entry.node_port:
            node_ports[entry.node_port] = targets
    return _Serving(addresses, node_ports)
