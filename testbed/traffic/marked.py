"""One marked request: its name looked up, its socket bound before anything is sent, its answer awaited.

Whoever traces it learns both ends before the first packet leaves, and says when it may.
"""

from __future__ import annotations

import errno
import selectors
import socket
from contextlib import suppress
from typing import Any

from testbed.clock import now_ns, now_s
from testbed.dns.client import resolve
from testbed.dns.search import parse_resolv_conf
from testbed.dns.wire import AAAA, A
from testbed.errors import TestbedError, UsageError
from testbed.traffic.channel import TERMINATED, Channel
from testbed.traffic.http import MalformedResponseError, answering_pod, parse_response
from testbed.traffic.lookup import preferred

_SHOWN_BYTES = 300
_OUTCOMES = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "unreachable",
    errno.EPERM: "unreachable",
    errno.EINVAL: "unreachable",
}


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Make the request.

    `config`: {"protocol": tcp or udp, "host", "port", "payload": the request in Latin-1, "http": its path or
    null, "resolv_conf": text or null, "timeout_s"}. Says {"ready"}, then {"lookup", "bound"} (bound: {"src",
    "sport", "dst", "dport"}, or null with an "outcome"), waits for {"go"}, and says {"report": {"outcome", …}}.
    """
    control = Channel(channel)
    control.say({"ready": True})
    try:
        lookup, address = _address(config)
    except TestbedError as error:
        control.say({"error": error.message, "exit_code": error.exit_code})
        return
    if not address:
        control.say({"lookup": lookup, "bound": None, "outcome": "dns_error"})
        return
    try:
        sock = _bound(config["protocol"], address, config["port"])
    except OSError as error:
        dialled = {"dst": address, "dport": config["port"]}
        control.say({"lookup": lookup, "bound": None, "outcome": _outcome(error), **dialled})
        return
    with sock:
        src, sport = sock.getsockname()[:2]
        bound = {"src": src, "sport": sport, "dst": address, "dport": config["port"]}
        control.say({"lookup": lookup, "bound": bound})
        if _told_to_go(control):
            control.say({"report": _exchange(sock, (address, config["port"]), config)})


def _address(config: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What the lookup was, and the address to dial; "" where the name has none."""
    literal = _literal(config["host"])
    if literal:
        return None, literal
    if config["resolv_conf"] is None:
        raise UsageError(f"there is no DNS server to ask for {config['host']!r}")
    resolution = resolve(config["host"], parse_resolv_conf(config["resolv_conf"]))
    found = [record.data for record in resolution.answers if record.type in (A, AAAA)]
    lookup = resolution.to_json() if resolution.queries else None
    return lookup, preferred(found) if found else ""


def _literal(host: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return host
    return ""


def _bound(protocol: str, address: str, port: int) -> socket.socket:
    """A socket whose address and port are those that the request will come from. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((address, port))  # sends nothing: the kernel chooses a source
        src = asking.getsockname()[0]
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    try:
        sock.bind((src, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _told_to_go(control: Channel) -> bool:
    with selectors.DefaultSelector() as selector:
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        while True:
            selector.select()
            for message in control.receive():
                if "go" in message:
                    return True
                if message == TERMINATED:
                    return False


def _exchange(
    sock: socket.socket, target: tuple[str, int], config: dict[str, Any]
) -> dict[str, Any]:
    """What became of it; times are CLOCK_MONOTONIC."""
    report: dict[str, Any] = {"outcome": "timeout", "answer": "", "backend": ""}
    ends_s = now_s() + config["timeout_s"]
    sock.settimeout(config["timeout_s"])
    report["start_ns"] = now_ns()
    try:
        sock.connect(target)
        report["connected_ns"] = now_ns()
        sock.sendall(config["payload"].encode("latin-1"))
        data = _answer(sock, config, ends_s)
    except OSError as error:
        report["outcome"] = _outcome(error)
        return report
    report["end_ns"] = now_ns()
    report["outcome"] = "ok" if data else "closed"
    report["answer"] = data[:_SHOWN_BYTES].decode("utf-8", "replace")
    _read_http(data, config, report)
    return report


def _answer(sock: socket.socket, config: dict[str, Any], ends_s: float) -> bytes:
    """The whole answer, or what there was of it when the peer closed. Raises OSError."""
    data = b""
    while True:
        sock.settimeout(max(1e-3, ends_s - now_s()))
        part = sock.recv(1 << 16)
        data += part
        if not part or config["protocol"] == "udp":
            return data
        if config["http"] is None and data.endswith(b"\n"):
            return data
        with suppress(MalformedResponseError):
            if config["http"] is not None and parse_response(data):
                return data


def _read_http(data: bytes, config: dict[str, Any], report: dict[str, Any]) -> None:
    if config["http"] is None:
        return
    try:
        response = parse_response(data, eof=True)
    except MalformedResponseError:
        response = None
    if response is None:
        report["outcome"] = "closed" if not data else "http_error"
        return
    report["answer"] = response.body[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
    report["backend"] = answering_pod(config["http"], response.body)
    report["outcome"] = "ok" if 200 <= response.status < 400 else "http_error"


def _outcome(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return _OUTCOMES.get(error.errno or 0, "client_error")
