"""The client's half of HTTP/1.1 (RFC 9112): a request as bytes, an answer taken apart."""

from __future__ import annotations

import json
from dataclasses import dataclass


class MalformedResponseError(ValueError):
    """The server sent something that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; `keep`: the connection may carry another request."""

    status: int
    body: bytes
    keep: bool


def encode_request(path: str, authority: str, close: bool) -> bytes:
    """A GET; with `close` it is the connection's last."""
    last = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n{last}\r\n".encode()


def parse_response(data: bytes, eof: bool = False) -> Response | None:
    """The answer in `data`; None: more must come first. Raises MalformedResponseError.

    With `eof` nothing more will come: None means that the connection ended too early.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if not b"HTTP/1.".startswith(data[:7]):
            raise MalformedResponseError(f"not HTTP: {data[:40]!r}")
        return None
    status_line, *lines = data[:end].decode("latin-1").split("\r\n")
    words = status_line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise MalformedResponseError(f"not a status line: {status_line!r}")
    status = int(words[1])
    if 100 <= status < 200:
        return parse_response(data[end + 4 :], eof) if len(data) > end + 4 else None
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    options = fields.get("connection", "").lower()
    keep = "close" not in options and (words[0] != "HTTP/1.0" or "keep-alive" in options)
    return _with_body(status, fields, data[end + 4 :], keep, eof)


def _with_body(
    status: int, fields: dict[str, str], rest: bytes, keep: bool, eof: bool
) -> Response | None:
    """The body by its framing (RFC 9112 section 6.3): chunked, by length, or until the end."""
    if status in (204, 304):
        return Response(status, b"", keep)
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _chunked(rest)
        return None if body is None else Response(status, body, keep)
    length = fields.get("content-length")
    if length is None:
        return Response(status, rest, keep=False) if eof else None
    if not length.isdecimal():
        raise MalformedResponseError(f"Content-Length is {length!r}")
    return Response(status, rest[: int(length)], keep) if len(rest) >= int(length) else None


def _chunked(rest: bytes) -> bytes | None:
    """The body that chunks make up, trailers ignored; None: the last chunk has not come."""
    body, at = b"", 0
    while True:
        line_end = rest.find(b"\r\n", at)
        if line_end < 0:
            return None
        try:
            size = int(rest[at:line_end].split(b";")[0], 16)
        except ValueError as error:
            raise MalformedResponseError(f"not a chunk size: {rest[at:line_end]!r}") from error
        if size == 0:
            return body if b"\r\n\r\n" in rest[line_end:] else None
        at = line_end + 2 + size + 2
        if len(rest) < at:
            return None
        body += rest[line_end + 2 : at - 2]


def answering_pod(path: str, body: bytes) -> str:
    """Who says to have answered: `/hostname`'s body, or a JSON body's pod; "": unsaid."""
    if path.partition("?")[0] in ("/hostname", "/hostName"):
        return body.decode("utf-8", "replace").strip()
    if body.startswith(b"{"):
        try:
            answer = json.loads(body)
        except ValueError:
            return ""
        return str(answer.get("pod") or answer.get("hostname") or "")
    return ""
