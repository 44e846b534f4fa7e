"""FROM and TO of `testbed trace` -> the request that the lab makes, and the account of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testbed.dns.wire import A, encode_query
from testbed.errors import UsageError
from testbed.lab.asked import url_of
from testbed.lab.client import Lab
from testbed.lab.wire import Connection
from testbed.packets import pcapng
from testbed.trace.account import account
from testbed.trace.evidence import evidence_of
from testbed.trace.sightings import sightings
from testbed.traffic.spec import Target, parse_url

_DNS_PORT = 53


def trace(
    lab: Lab, source: str, to: str, token: str, *, udp: bool, timeout_s: float
) -> tuple[dict[str, Any], Path]:
    """The account of one request, and the file of all packets meanwhile. `token` marks the request.

    Raises NotFound, UsageError.
    """
    target = _target(lab, source, to, udp)
    payload = payload_of(target, token)
    request = {
        "protocol": "udp" if target.protocol == "udp" else "tcp",
        "host": target.host,
        "port": target.port,
        "payload": payload.decode("latin-1"),
        "http": target.request if target.protocol == "http" else None,
        "timeout_s": timeout_s,
    }
    connection = Connection(lab.folder)
    try:
        answer = connection.call("trace", {"source": source, "request": request})
    finally:
        connection.close()
    capture = Path(answer["capture"])
    evidence = evidence_of(answer)
    told = account(evidence, sightings(frames(capture)), payload)
    return {"lab": lab.name, "to": to, **told}, capture


def frames(path: Path) -> list[tuple[pcapng.Interface, pcapng.Frame]]:
    """Every frame of a file with its interface."""
    interfaces: list[pcapng.Interface] = []
    found: list[tuple[pcapng.Interface, pcapng.Frame]] = []
    with path.open("rb") as file:
        for block in pcapng.read(file):
            if isinstance(block, pcapng.Interface):
                interfaces.append(block)
            else:
                found.append((interfaces[block.interface], block))
    return found


def _target(lab: Lab, source: str, to: str, udp: bool) -> Target:
    """What TO means: a URL as it is, a service by its own port and protocol. Raises UsageError, NotFound."""
    if "://" not in to:
        return parse_url(url_of(lab.inspect(), source, to, "udp" if udp else ""))
    target = parse_url(to)
    if udp and target.protocol != "udp":
        raise UsageError(f"{to} is no datagram", "leave --udp out, or write udp://…")
    return target


def payload_of(target: Target, token: str) -> bytes:
    """The request's bytes: nobody else's are alike."""
    if target.protocol == "http":
        head = f"GET {target.request} HTTP/1.1\r\nHost: {target.authority}\r\n"
        return f"{head}X-Testbed-Trace: {token}\r\nConnection: close\r\n\r\n".encode()
    if target.protocol == "udp" and target.port == _DNS_PORT:
        return encode_query(int(token[:4], 16), f"trace-{token}.invalid", A)
    end = "\n" if target.protocol == "tcp" else ""
    return f"echo {token}{end}".encode()
