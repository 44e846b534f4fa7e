"""What the built-in backend answers, as a function of the bytes that came.

The paths and the datagram commands are those of Kubernetes' own network test image (`agnhost
netexec`); `/`, which says everything at once, `/load` (a number) and plain TCP lines (the datagram
commands, a line each) are ours. HTTP/1.1 as RFC 9112 has it, without chunked requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from testbed.ip import host_port

MAX_HEAD = 16 * 1024
"""Bytes of a request line with its fields, or of a plain line; more is refused, as servers do."""
MAX_BODY = 1024 * 1024

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}
# Answers that are the same for every client: the server may keep them ready-made.
_SAME_FOR_ALL = frozenset({"/hostname", "/hostName", "/healthz", "/readyz"})

Address = tuple[str, int] | tuple[str, int, int, int]
"""What accept(2) says of an IPv4, or an IPv6 client."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers."""

    pod: str
    namespace: str = "default"
    node: str = ""
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the first request in a buffer.

    `consumed` bytes were the request (0: more must come first, and `output` is empty). After
    `close` the server closes. `same_for_all`: equal requests from anybody get equal bytes.
    """

    consumed: int = 0
    output: bytes = b""
    close: bool = False
    same_for_all: bool = False


NEED_MORE = Reply()


def reply(identity: Identity, client: Address, data: bytes, load: int = 0) -> Reply:
    """Answer the first request in `data`, HTTP or a plain line, told apart by how it begins.

    `load`: what the pod says to whoever asks it for `/load`.
    """
    if data.startswith(_METHODS):
        return _http(identity, client, data, load)
    if any(method.startswith(data) for method in _METHODS):
        return NEED_MORE
    end = data.find(b"\n")
    if end < 0:
        too_long = Reply(len(data), b"error: line too long\n", close=True)
        return too_long if len(data) > MAX_HEAD else NEED_MORE
    return Reply(end + 1, command(identity, client, data[:end]) + b"\n")


def command(identity: Identity, client: Address, line: bytes) -> bytes:
    """Answer a datagram, or a line without its end: `hostname`, `clientip` or `echo MSG`."""
    verb, _, rest = line.strip().partition(b" ")
    match verb.lower():
        case b"hostname":
            return identity.pod.encode()
        case b"clientip":
            return host_port(client[0], client[1]).encode()
        case b"echo":
            return rest
    return b"error: unknown command; say hostname, clientip or echo MSG"


def _http(identity: Identity, client: Address, data: bytes, load: int) -> Reply:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _refuse(data, 431) if len(data) > MAX_HEAD else NEED_MORE
    request_line, *lines = data[:end].decode("latin-1").split("\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = fields.get("content-length", "0")
    words = request_line.split(" ")
    fault = _fault(words, fields, length)
    if fault:
        return _refuse(data, fault)
    method, target, version = words
    consumed = end + 4 + int(length)
    if len(data) < consumed:
        return NEED_MORE
    close = _closes(version, fields.get("connection", ""))
    status, body = _page(identity, client, target, load, fields)
    path = target.partition("?")[0]
    output = _message(status, body, close, head_only=method == "HEAD")
    return Reply(consumed, output, close, same_for_all=path in _SAME_FOR_ALL)


def _fault(words: list[str], fields: dict[str, str], length: str) -> int:
    """The status that refuses a request head; 0: it can be framed."""
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return 400
    if "transfer-encoding" in fields:
        return 501
    if not (length.isascii() and length.isdecimal() and len(length) < 16):
        return 400
    return 413 if int(length) > MAX_BODY else 0


def _closes(version: str, connection: str) -> bool:
    """Whether the connection ends after this answer (RFC 9112 section 9.3)."""
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)


def _page(
    identity: Identity, client: Address, target: str, load: int, fields: Mapping[str, str]
) -> tuple[int, str]:
    """Status and body. `fields`: the request's, names in lower case."""
    parts = urlsplit(target)
    match parts.path:
        case "/hostname" | "/hostName":
            return 200, identity.pod
        case "/clientip":
            return 200, host_port(client[0], client[1])
        case "/echo" | "/header":
            asked = parse_qs(parts.query, keep_blank_values=True)
            found = fields.get(asked.get("key", [""])[0].lower(), "")
            return 200, found if parts.path == "/header" else asked.get("msg", [""])[0]
        case "/healthz" | "/readyz" | "/load":
            return 200, str(load) if parts.path == "/load" else "ok"
        case "/":
            answer = {
                "pod": identity.pod,
                "namespace": identity.namespace,
                "node": identity.node,
                "ip": identity.ip,
                "client": host_port(client[0], client[1]),
                "path": target,
            }
            return 200, json.dumps(answer) + "\n"
    return 404, f"no {parts.path} here\n"


def _message(status: int, body: str, close: bool, head_only: bool = False) -> bytes:
    content = body.encode()
    kind = "application/json" if body.startswith("{") else "text/plain; charset=utf-8"
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else content)


def _refuse(data: bytes, status: int) -> Reply:
    """Answer what cannot be framed: nothing after it can be trusted to be a request."""
    return Reply(len(data), _message(status, _REASONS[status] + "\n", close=True), close=True)
