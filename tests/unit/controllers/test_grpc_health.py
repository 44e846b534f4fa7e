"""A gRPC probe, against a server that h2 makes."""

from __future__ import annotations

import asyncio
import struct

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from testbed.controllers.grpc_health import request_message
from testbed.model.containers import GRPCAction, Probe

from .test_probes import Serve, answering, probed


def serving(message: bytes, status: str = "0") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http2.initiate_connection()
        asked = ""
        while data := await reader.read(65_536):
            for event in http2.receive_data(data):
                if isinstance(event, RequestReceived):
                    asked = dict(event.headers)[":path"]
                elif isinstance(event, StreamEnded):
                    assert asked == "/grpc.health.v1.Health/Check"
                    http2.send_headers(
                        1, [(":status", "200"), ("content-type", "application/grpc")]
                    )
                    http2.send_data(1, struct.pack(">BI", 0, len(message)) + message)
                    http2.send_headers(1, [("grpc-status", status)], end_stream=True)
            writer.write(http2.data_to_send())
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("serve", "ok", "message"),
    [
        (serving(b"\x08\x01"), True, ""),
        (serving(b"\x08\x02"), False, "NOT_SERVING"),
        (serving(b""), False, "UNKNOWN"),
        (serving(b"", "5"), False, "grpc-status 5"),
        (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), False, "did not answer with gRPC"),
        (None, False, "connection refused"),
    ],
)
def test_outcomes(serve: Serve | None, ok: bool, message: str) -> None:
    outcome = probed(serve, lambda port: Probe(GRPCAction(port, "web"), timeout_s=60.0))
    assert outcome.ok is ok, outcome
    assert message in outcome.message


def test_the_service_is_field_1() -> None:
    assert request_message("") == b"\x00\x00\x00\x00\x00"
    assert request_message("ab") == b"\x00\x00\x00\x00\x04\x0a\x02ab"
