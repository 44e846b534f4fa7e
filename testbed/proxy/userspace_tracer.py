"""What the userspace mode does to a new connection: the rules' part, then the process's, from its table.

The process dials for its clients, so whoever answers sees the node. Without an endpoint it closes what it
has accepted (TCP) or says nothing (UDP).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from testbed.proxy import userspace_table
from testbed.proxy.packet import Outcome, Packet, host_port, split_host_port
from testbed.proxy.tracer import Tracer
from testbed.proxy.userspace_table import SECTION, Listener


class UserspaceTracer:
    """Reads a node's rules and its process's table, as planned or as observed (a `NodeTracer`).

    An affinity list is a client's endpoint in a listener: its name, a space, and `ip:port`.
    """

    def __init__(
        self, tables: Mapping[str, Mapping[str, Iterable[str]]], local_ips: Iterable[str]
    ) -> None:
        """Parses everything. Raises UnknownRuleError, and TestbedError for a line of the table."""
        local_ips = tuple(local_ips)
        self._rules = Tracer(
            {name: chains for name, chains in tables.items() if name != SECTION}, local_ips
        )
        listeners = (
            userspace_table.listener(name, lines) for name, lines in tables.get(SECTION, {}).items()
        )
        self._listeners = {one.socket: one for one in listeners}

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """See `NodeTracer`."""
        kept = frozenset(recent)
        return tuple(
            end for one in self._rules.from_wire(packet) for end in self._onwards(one, kept)
        )

    def from_node(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """See `NodeTracer`."""
        kept = frozenset(recent)
        return tuple(
            end for one in self._rules.from_node(packet) for end in self._onwards(one, kept)
        )

    def _onwards(self, outcome: Outcome, kept: frozenset[str]) -> Iterable[Outcome]:
        packet = outcome.packet
        at = f"{packet.protocol} {host_port(packet.dst, packet.dport)}"
        listener = self._listeners.get(at)
        if outcome.verdict != "accepted" or listener is None:
            return (outcome,)
        if not listener.endpoints:
            silent = packet.protocol == "udp"
            return (replace(outcome, verdict="dropped" if silent else "closed"),)
        mine = [one for one in listener.endpoints if f"{listener.name} {one}" in kept]
        targets = mine or listener.endpoints
        share = outcome.probability / len(targets)
        return [
            _sent(outcome, listener, target, share, dialled)
            for target in targets
            for dialled in self._dialled(listener, target)
        ]

    def _dialled(self, listener: Listener, endpoint: str) -> tuple[Outcome, ...]:
        """What the node's rules do to the process's own connection to an endpoint."""
        src, _ = split_host_port(listener.address)
        return self._rules.from_node(Packet(listener.protocol, src, *split_host_port(endpoint)))


def _sent(
    outcome: Outcome, listener: Listener, endpoint: str, share: float, dialled: Outcome
) -> Outcome:
    ip, port = split_host_port(endpoint)
    remembered = outcome.packet.remembered
    if listener.affinity_s:
        remembered = (*remembered, f"{listener.name} {endpoint}")
    packet = replace(outcome.packet, dst=ip, dport=port, masqueraded=True, remembered=remembered)
    return replace(
        outcome,
        probability=share * dialled.probability,
        verdict=dialled.verdict,
        packet=packet,
        rules=(*outcome.rules, f"-A {listener.name} --to {endpoint}", *dialled.rules),
    )
