"""Dialling on somebody's behalf: agnhost's `connect`, and the endpoint /dial of its `netexec`."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what looking a name up would import later
import socket
import urllib.error
import urllib.request

from testbed.ip import host_port
from testbed.units import duration_s

_PATIENCE_S = 5.0
_ANSWER_BYTES = 2048
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


def connect(destination: str, protocol: str, timeout: str, data: str) -> str:
    """Try to reach HOST:PORT; "" when it answers, else why not, in the words that tests look for."""
    protocol = protocol or "tcp"
    host, _, port = destination.rpartition(":")
    if protocol not in _KINDS:
        return f"Unsupported protocol\n{protocol}"
    if not host or not port.isdecimal():
        return f"UNKNOWN: address {destination}: missing port in address"
    try:
        address = resolved(host.strip("[]"), int(port), protocol)
    except OSError as error:
        return f"DNS: {error.strerror or error}"
    try:
        patience_s = duration_s(timeout) if timeout not in ("", "0", "0s") else None
        _tried(address, protocol, patience_s, data)
    except (OSError, ValueError) as error:
        return _complaint(error)
    return ""


def _complaint(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "TIMEOUT"
    if isinstance(error, ConnectionRefusedError):
        return "REFUSED"
    return f"OTHER: {error}" if isinstance(error, OSError) else f"UNKNOWN: {error}"


def _tried(address: _Address, protocol: str, patience_s: float | None, data: str) -> None:
    with _connected(address, protocol, patience_s) as sock:
        if protocol != "tcp":
            sock.sendall(f"{data}\n".encode())
            if not sock.recv(_ANSWER_BYTES):
                raise OSError("No data received from the server")


def _connected(address: _Address, protocol: str, patience_s: float | None) -> socket.socket:
    sock = socket.socket(address[0], *_KINDS[protocol])
    sock.settimeout(patience_s)
    try:
        sock.connect(address[1])
    except BaseException:
        sock.close()
        raise
    return sock


def resolved(host: str, port: int, protocol: str) -> _Address:
    """Where a name leads to. Raises OSError."""
    kind = _KINDS["udp" if protocol == "udp" else "tcp"]
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind[0])[0]
    return family, address


def dial(protocol: str, address: _Address, request: str) -> str:
    """The answer to one request. Raises OSError."""
    if protocol == "http":
        host, port = address[1][0], address[1][1]
        url = f"http://{host_port(str(host), int(port))}/{request}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
                return str(answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode(errors="replace")
    with _connected(address, protocol, _PATIENCE_S) as sock:
        sock.sendall(request.encode())
        data = sock.recv(_ANSWER_BYTES)
    if not data:
        raise OSError("no data came back")
    return data.decode(errors="replace")
