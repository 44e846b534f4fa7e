"""What the commands of agnhost serve with: HTTP, datagrams, bytes for whoever connects; each in a thread."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from time import localtime, monotonic, sleep, strftime

from testbed.ip import host_port

_PORTER = re.compile(r"SERVE_(?:(TCP|UDP|TLS|SCTP)_)?PORT_(\d+)")
_MAPPED = "::ffff:"
_LOOK_S = 0.02
Answer = Callable[[bytes, str], bytes | None]
"""A datagram, and who sent it (IP:PORT) -> what to send back; None: nothing."""


def log(text: str) -> None:
    """A line, with its time."""
    print(strftime("%Y/%m/%d %H:%M:%S", localtime()), text, file=sys.stderr, flush=True)


def hostname() -> str:
    return socket.gethostname()


def until_terminated(delay_s: float = 0.0) -> int:
    """Return an exit code when told to end, and `delay_s` later."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    while not over.wait(3600):
        pass
    log("Shutting down after receiving signal: terminated.")
    threading.Event().wait(delay_s)
    return 0


def porter_port(name: str) -> tuple[str, int]:
    """Of an environment variable: what to serve (TCP, UDP, TLS, SCTP) and where; ("", 0): nothing."""
    match = _PORTER.fullmatch(name)
    return (match.group(1) or "TCP", int(match.group(2))) if match else ("", 0)


# Sockets


def listener(port: int, protocol: int = socket.IPPROTO_TCP) -> socket.socket:
    """A listening socket on all addresses, of both IP families where there are both. Raises OSError."""
    sock = _bound(socket.SOCK_STREAM, protocol, "", port)
    sock.listen(128)
    return sock


def _bound(kind: int, protocol: int, address: str, port: int) -> socket.socket:
    v6 = ":" in address or (not address and _has_ipv6())
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6 and not address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, port))
    return sock


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


def shown(client: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """IP:PORT, an IPv4 client of an IPv6 socket as itself."""
    return host_port(client[0].removeprefix(_MAPPED), client[1])


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


# Servers


def datagrams(port: int, answer: Answer, address: str = "") -> None:
    """Answer datagrams. Raises OSError where the port is taken."""
    sock = _bound(socket.SOCK_DGRAM, socket.IPPROTO_UDP, address, port)

    def serve() -> None:
        while True:
            data, client = sock.recvfrom(65_536)
            reply = answer(data, shown(client))
            if reply is not None:
                sock.sendto(reply, client)

    _in_background(serve)
    log(f"Started UDP server on port {port}")


def stream(port: int, said: bytes, *, sctp: bool = False) -> None:
    """Say the same to whoever connects. Raises OSError."""
    sock = listener(port, socket.IPPROTO_SCTP if sctp else socket.IPPROTO_TCP)

    def serve() -> None:
        while True:
            connection, _ = sock.accept()
            with connection:
                connection.sendall(said)

    _in_background(serve)


class Server(ThreadingHTTPServer):
    """HTTP/1.1 on all addresses."""

    daemon_threads = True

    def __init__(
        self,
        port: int,
        handler: Callable[..., BaseHTTPRequestHandler],
        cert: tuple[str, str] = ("", ""),
    ) -> None:
        super().__init__(("", port), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener(port)
        if cert[0]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert[0], cert[1] or None)
            self.socket = context.wrap_socket(self.socket, server_side=True)

        self._busy = 0

    def in_background(self) -> None:
        """Serve from now on."""
        _in_background(self.serve_forever)

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Count those that are served."""
        self._busy += 1
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._busy -= 1

    def wind_up(self, patience_s: float) -> None:
        """Take nobody new; return when nobody is left but who asked for it, or after `patience_s`."""
        self.shutdown()
        deadline_s = monotonic() + patience_s
        while self._busy > 1 and monotonic() < deadline_s:
            sleep(_LOOK_S)


class Handler(BaseHTTPRequestHandler):
    """What all of the pages have in common."""

    protocol_version = "HTTP/1.1"
    server_version = "agnhost"

    def log_message(self, format: str, *args: object) -> None:
        """Handlers log for themselves."""

    def answer(self, body: str, status: int = 200, kind: str = "text/plain; charset=utf-8") -> None:
        """A whole answer."""
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def client(self) -> str:
        """IP:PORT."""
        return shown(self.client_address)


class _Fixed(Handler):
    def __init__(self, said: str, close: bool, method_too: bool, *rest: object) -> None:
        self._said, self._close, self._method_too = said, close, method_too
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        log(f"HTTP request from {self.client}")
        if self._close:
            self.close_connection = True
        if self._method_too:
            said = json.dumps({"Method": self.command, "Body": self._said})
            self.answer(said, kind="application/json")
        else:
            self.answer(self._said)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815


def fixed_http(
    port: int,
    said: str,
    *,
    close: bool = False,
    method_too: bool = False,
    cert: tuple[str, str] = ("", ""),
) -> None:
    """Say the same in answer to every request. Raises OSError."""
    Server(port, partial(_Fixed, said, close, method_too), cert).in_background()


def files_http(port: int, folder: str) -> None:
    """Serve files. Raises OSError."""
    Server(port, partial(SimpleHTTPRequestHandler, directory=folder)).in_background()


def porter(name: str, value: str, *, method_too: bool) -> None:
    """Serve an environment variable, where it is one to be served. Raises OSError."""
    kind, port = porter_port(name)
    if kind == "UDP":
        datagrams(port, lambda _data, _client: value.encode())
    elif kind == "SCTP":
        stream(port, value.encode(), sctp=True)
    elif kind == "TLS":
        cert = os.environ.get("CERT_FILE", ""), os.environ.get("KEY_FILE", "")
        fixed_http(port, value, method_too=method_too, cert=cert)
    elif kind:
        fixed_http(port, value, method_too=method_too)
