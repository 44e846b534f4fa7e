"""`testbed trace --rules DUMP`: what one node's rules do to a connection, without a lab."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from testbed.errors import UsageError
from testbed.ip import family_of
from testbed.proxy.packet import NodeTracer, Outcome, Packet, host_port, split_host_port

PROTOCOLS = ("tcp", "udp", "sctp")


def packet_of(source: str, target: str, protocol: str) -> Packet:
    """The first packet of a connection from an IP address to IP:port. Raises UsageError."""
    try:
        ip, port = split_host_port(target)
        dst, src = str(ip_address(ip)), str(ip_address(source))
    except ValueError:
        raise UsageError(
            f"{source!r} -> {target!r} is no connection",
            "write --from 10.244.1.2 --to 10.96.0.3:80, or --to [fd00::7]:80",
        ) from None
    if family_of(src) != family_of(dst) or not 0 < port < 65536:
        raise UsageError(
            f"{source} cannot reach {target}", "both of one IP family, a port to 65535"
        )
    return Packet(protocol, src, dst, port)


def account(tracer: NodeTracer, packet: Packet, local_ips: Iterable[str]) -> dict[str, Any]:
    """Every outcome as JSON values, the most likely first; those of equal fate and rules are one."""
    is_own = packet.src in set(local_ips)
    outcomes = tracer.from_node(packet) if is_own else tracer.from_wire(packet)
    fates: dict[tuple[Any, ...], float] = {}
    for one in outcomes:
        fates[_fate(one)] = fates.get(_fate(one), 0.0) + one.probability
    rows = [_row(fate, share) for fate, share in fates.items()]
    rows.sort(key=lambda row: (-row["probability"], row["destination"]))
    return {
        "protocol": packet.protocol,
        "from": packet.src,
        "to": host_port(packet.dst, packet.dport),
        "sent by": "the node itself" if is_own else "a pod, another node or outside",
        "outcomes": rows,
        "not_understood": sorted({row["reason"] for row in rows if row["reason"]}),
    }


def _fate(outcome: Outcome) -> tuple[Any, ...]:
    packet = outcome.packet
    return (
        outcome.verdict,
        outcome.destination,
        packet.translated,
        packet.masqueraded,
        packet.remembered,
        outcome.reason,
        outcome.rules,
    )


def _row(fate: tuple[Any, ...], probability: float) -> dict[str, Any]:
    verdict, destination, translated, masqueraded, remembered, reason, rules = fate
    return {
        "probability": probability,
        "verdict": verdict,
        "destination": destination,
        "translated": translated,
        "masqueraded": masqueraded,
        "remembered": list(remembered),
        "reason": reason,
        "rules": list(rules),
    }
