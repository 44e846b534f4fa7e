"""A packet on its way through a node's rules, and how that may end: what all tracers share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, Protocol

from testbed.errors import TestbedError

Verdict = Literal["accepted", "rejected", "dropped", "closed", "unknown"]
"""closed: a process on the node accepts it and closes it, having nowhere to send it. unknown: the last rule is
not understood (only where a tracer was told to go on without)."""


class UnknownRuleError(TestbedError):
    """A rule says something that the tracer does not understand, so it cannot tell what happens."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, and what the rules have done to it so far."""

    protocol: str
    """tcp, udp or sctp."""
    src: str
    dst: str
    dport: int
    mark: int = 0
    translated: bool = False
    """Its destination was rewritten (conntrack state DNAT)."""
    masqueraded: bool = False
    remembered: tuple[str, ...] = ()
    """Affinity lists that the packet's source was put into on its way, by their names in the rules."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way it may end. `packet` is as it leaves the rules, `rules` are those it matched, in
    order.
    """

    probability: float
    verdict: Verdict
    packet: Packet
    rules: tuple[str, ...]
    reason: str = ""
    """What is not understood, where the verdict is unknown."""

    @property
    def destination(self) -> str:
        """`ip:port` that the packet goes to, `[ip]:port` in IPv6."""
        return host_port(self.packet.dst, self.packet.dport)


class NodeTracer(Protocol):
    """Reads the rules of one node and tells what they do to a new connection.

    `recent` names the affinity lists that hold the packet's source already, none of them too old.
    """

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that reaches the node from a pod of its own, another node or outside."""

    def from_node(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that a process of the node itself sends."""


def host_port(ip: str, port: int) -> str:
    """`ip:port`; `[ip]:port` for IPv6."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def split_host_port(text: str) -> tuple[str, int]:
    """(ip, port) of `ip:port` or `[ip]:port`."""
    ip, _, port = text.rpartition(":")
    return ip.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(ip: str) -> bool:
    """127.0.0.0/8 or ::1: every node's own."""
    return ip_address(ip).is_loopback
