"""One call of the gRPC health checking protocol: grpc.health.v1.Health/Check over HTTP/2.

gRPC itself would be heavy for one call of one method; h2 speaks HTTP/2, and the message is one field.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable

_SERVING = b"\x08\x01"
"""HealthCheckResponse with status (field 1) SERVING."""
_CHUNK = 16_384


def request_message(service: str) -> bytes:
    """HealthCheckRequest with its service (field 1), in gRPC's frame."""
    name = service.encode()
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    return struct.pack(">BI", 0, len(message)) + message


async def is_serving(sock: socket.socket, where: str, service: str) -> str:
    """Ask a server on a connected socket; "" when it serves, else what is wrong. Raises OSError."""
    from h2 import events
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    if len(service.encode()) > 127:
        return f"the service's name is longer than 127 bytes: {service[:40]}…"
    loop = asyncio.get_running_loop()
    http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http2.initiate_connection()
    http2.send_headers(1, _headers(where))
    http2.send_data(1, request_message(service), end_stream=True)
    body, status = b"", ""
    try:
        while True:
            await loop.sock_sendall(sock, http2.data_to_send())
            data = await loop.sock_recv(sock, _CHUNK)
            if not data:
                return f"{where} did not answer with gRPC"
            for event in http2.receive_data(data):
                if isinstance(event, events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, events.ResponseReceived | events.TrailersReceived):
                    status = _grpc_status(event.headers or ()) or status
                elif isinstance(event, events.StreamEnded | events.StreamReset):
                    return _verdict(body[5:], status)
    except ProtocolError as error:
        return f"{where} did not answer with gRPC: {error}"


def _headers(where: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", where),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe/1.36"),
    ]


def _grpc_status(headers: Iterable[tuple[object, object]]) -> str:
    return next((str(value) for name, value in headers if name == "grpc-status"), "")


def _verdict(message: bytes, status: str) -> str:
    if status not in ("", "0"):
        return f"error: health rpc failed with grpc-status {status}"
    if message.startswith(_SERVING):
        return ""
    said = message[1] if len(message) > 1 else 0
    name = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}.get(said, str(said))
    return f"service unhealthy (responded with {name!r})"
