"""UDP connection tracking entries that outlived their endpoint: which ones, and how to delete them.

A UDP client that keeps its port keeps its conntrack entry, and so its backend, for as long as it
sends. After a change of endpoints the entries that lead elsewhere must go, or a resolver's queries
vanish. kube-proxy 1.36 forgets services without endpoints (kubernetes #139628) and deleted services
(#141371); the documentation promises both, and both are done here. TCP entries are never touched,
as in kube-proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from testbed.command import Command
from testbed.proxy.table import ForwardingTable, ServicePortEntry

LIST = Command(("conntrack", "-L", "-p", "udp"))
NOTHING_DELETED = "0 flow entries"
"""What `conntrack -D` says, with code 1, where no entry matches any more."""


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
    """Whether a UDP service port or its endpoints changed, so that the entries must be looked
    through.
    """
    return _udp(before) != _udp(now)


def stale_flows(
    flows: Iterable[Flow], before: ForwardingTable | None, now: ForwardingTable
) -> list[Flow]:
    """Flows to a service (now, or before the change) that none of its serving endpoints answers,
    sorted.
    """
    addresses, node_ports = _serving(now)
    gone_addresses, gone_node_ports = _serving(before)
    local = set(now.node_ips)
    stale: list[Flow] = []
    for flow in flows:
        target = (flow.reply_src, flow.reply_sport)
        service = (flow.dst, flow.dport)
        to_node = flow.translated or flow.dst in local
        if service in addresses:
            is_stale = target not in addresses[service]
        elif flow.dport in node_ports and to_node:
            is_stale = target not in node_ports[flow.dport]
        else:
            gone = service in gone_addresses or (flow.dport in gone_node_ports and to_node)
            is_stale = gone and flow.translated
        if is_stale:
            stale.append(flow)
    return sorted(stale)


def deletion(flow: Flow) -> Command:
    """Deletes the entries of a flow. It fails, saying NOTHING_DELETED, where they are gone already."""
    return Command(
        (
            *("conntrack", "-D", "-p", "udp"),
            *("--orig-dst", flow.dst, "--orig-port-dst", str(flow.dport)),
            *("--reply-src", flow.reply_src, "--reply-port-src", str(flow.reply_sport)),
        )
    )


_Targets = set[tuple[str, int]]


def _udp(table: ForwardingTable | None) -> list[ServicePortEntry]:
    return [entry for entry in table.ports if entry.protocol == "udp"] if table else []


def _serving(
    table: ForwardingTable | None,
) -> tuple[Mapping[tuple[str, int], _Targets], Mapping[int, _Targets]]:
    """(address, port) -> serving endpoints of each UDP service port, and the same by node port."""
    addresses: dict[tuple[str, int], _Targets] = {}
    node_ports: dict[int, _Targets] = {}
    for entry in _udp(table):
        targets = {(endpoint.ip, endpoint.port) for endpoint in entry.serving_endpoints}
        for ip in (entry.cluster_ip, *entry.external_ips, *entry.load_balancer_ips):
            addresses[ip, entry.port] = targets
        if entry.node_port:
            node_ports[entry.node_port] = targets
    return addresses, node_ports
