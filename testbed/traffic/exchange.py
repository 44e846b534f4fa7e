"""What is said on a connection: the request as bytes, and who answered, for each protocol."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.traffic.http import (
    MalformedResponseError,
    answering_pod,
    encode_request,
    parse_response,
)
from testbed.traffic.spec import Target


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `outcome` is ok or http_error; `size` is the body's, in bytes."""

    outcome: str
    backend: str
    """Who says to have answered; "" where the answer does not say."""
    status: int
    size: int
    keep: bool
    """The connection may carry another request."""


class Exchange:
    """`request`, and `last` where it is a connection's last one."""

    def __init__(self, target: Target) -> None:
        self._target = target
        if target.protocol == "http":
            self.request = encode_request(target.request, target.authority, close=False)
            self.last = encode_request(target.request, target.authority, close=True)
        else:
            end = "\n" if target.protocol == "tcp" else ""
            self.request = self.last = f"{target.request}{end}".encode()

    def parse(self, data: bytes, eof: bool) -> Answer | None:
        """The answer in `data`; None: not whole. `eof`: the peer sends no more."""
        if self._target.protocol == "http":
            return self._http(data, eof)
        if self._target.protocol == "udp":
            return self._line(data)
        line, end, _ = data.partition(b"\n")
        return self._line(line) if end else None

    def _http(self, data: bytes, eof: bool) -> Answer | None:
        try:
            response = parse_response(data, eof)
        except MalformedResponseError:
            return Answer("http_error", "", 0, len(data), keep=False)
        if response is None:
            return None
        outcome = "ok" if 200 <= response.status < 400 else "http_error"
        backend = answering_pod(self._target.request, response.body)
        return Answer(outcome, backend, response.status, len(response.body), response.keep)

    def _line(self, line: bytes) -> Answer:
        name = line.decode("utf-8", "replace").strip()
        backend = name if self._target.request == "hostname" else ""
        return Answer("ok", backend, 0, len(line), keep=True)
