"""agnhost's `netexec`: an HTTP, a UDP and an SCTP server that say who they are, and do what they are told."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from email import message_from_bytes
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from testbed.traffic import agnhost_servers as servers
from testbed.traffic.agnhost_dial import dial, resolved
from testbed.units import duration_s

_UPLOADS = Path("/uploads")
_REDIRECT = 302


def netexec(options: argparse.Namespace) -> int:
    """Serve until told to end."""
    if options.udp_port != -1:
        for address in options.udp_listen_addresses.split(","):
            servers.datagrams(options.udp_port, command, address)
    if options.sctp_port != -1:
        _serve_sctp(options.sctp_port)
    handler = type("_Pages", (Pages,), {"override": options.http_override})
    cert = options.tls_cert_file, options.tls_private_key_file
    servers.Server(options.http_port, handler, cert).in_background()
    servers.log(f"Started HTTP server on port {options.http_port}")
    return servers.until_terminated(options.delay_shutdown)


def command(data: bytes, client: str) -> bytes | None:
    """The answer to a datagram; None where it is no command."""
    text = data.decode(errors="replace").strip()
    word, _, rest = text.partition(" ")
    servers.log(f"received {text!r} from {client}")
    match word.lower():
        case "hostname":
            return servers.hostname().encode()
        case "echo":
            return rest.encode()
        case "clientip":
            return client.encode()
        case "quit":
            os._exit(0)
    return None


def _serve_sctp(port: int) -> None:
    listener = servers.listener(port, socket.IPPROTO_SCTP)

    def serve() -> None:
        while True:
            connection, client = listener.accept()
            with connection:
                reply = command(connection.recv(1024), servers.shown(client))
                if reply is not None:
                    connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    servers.log("Started SCTP server")


class Pages(servers.Handler):
    """The HTTP endpoints."""

    override = ""
    """What every request is taken for."""

    def do_GET(self) -> None:  # noqa: N802
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        where = urlsplit(self.override or self.path)
        query = parse_qs(where.query, keep_blank_values=True)
        if self.headers.get_content_type() == "application/x-www-form-urlencoded":
            query |= parse_qs(self.body.decode(errors="replace"))
        asked = {key: values[0] for key, values in query.items()}
        servers.log(f"GET {self.override or self.path}")
        page = _PAGES.get(where.path, Pages.root)
        page(self, asked)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def root(self, _asked: dict[str, str]) -> None:
        self.answer(f"NOW: {time.strftime('%Y-%m-%d %H:%M:%S %z')}")

    def client_ip(self, _asked: dict[str, str]) -> None:
        self.answer(self.client)

    def header(self, asked: dict[str, str]) -> None:
        self.answer(", ".join(self.headers.get_all(asked.get("key", ""), [])))

    def echo(self, asked: dict[str, str]) -> None:
        code = asked.get("code", "")
        if code and not code.isdecimal():
            self.answer(f"argument 'code' must be an integer or empty, got {code!r}\n")
        else:
            self.answer(asked.get("msg", ""), int(code or 200))

    def host_name(self, _asked: dict[str, str]) -> None:
        self.answer(servers.hostname())

    def healthz(self, _asked: dict[str, str]) -> None:
        self.answer("")

    def exit(self, asked: dict[str, str]) -> None:
        """End, after `wait`, giving connections `timeout` to be over."""
        try:
            times = {key: duration_s(asked.get(key) or "0s") for key in ("timeout", "wait")}
            code = int(asked.get("code") or 0)
        except ValueError as error:
            self.answer(f"arguments timeout and wait are durations, code is an integer: {error}\n")
            return
        time.sleep(times["wait"])
        if times["timeout"]:
            self.answer("")
            assert isinstance(self.server, servers.Server)
            self.server.wind_up(times["timeout"])
        os._exit(code)

    def shutdown(self, _asked: dict[str, str]) -> None:
        os._exit(0)

    def redirect(self, asked: dict[str, str]) -> None:
        self.send_response(int(asked.get("code") or _REDIRECT))
        self.send_header("Location", asked.get("location", ""))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def shell(self, asked: dict[str, str]) -> None:
        line = asked.get("shellCommand") or asked.get("cmd", "")
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            env=dict(os.environ),
        )
        said: dict[str, str] = {}
        if done.stdout:
            said["output"] = done.stdout.decode(errors="replace")
        if done.returncode:
            said["error"] = f"exit status {done.returncode}"
        self.answer(json.dumps(said))

    def upload(self, _asked: dict[str, str]) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.body).walk()
        found = next(
            (one for one in parts if one.get_param("name", header="content-disposition") == "file"),
            None,
        )
        content = found.get_payload(decode=True) if found is not None else None
        if not isinstance(content, bytes):
            self.answer(json.dumps({"error": "Unable to upload file."}))
            return
        _UPLOADS.mkdir(exist_ok=True)
        path = _UPLOADS / f"upload{uuid.uuid4().hex[:8]}"
        path.write_bytes(content)
        shutil.copymode("/bin/sh", path)  # uploaded programs are there to be run
        self.answer(json.dumps({"output": str(path)}))

    def dial(self, asked: dict[str, str]) -> None:
        """Ask another server, some times."""
        protocol = (asked.get("protocol") or "http").lower()
        request, tries = asked.get("request", ""), asked.get("tries") or "1"
        if protocol not in ("http", "udp", "sctp"):
            self.answer(f"unsupported protocol. {protocol}\n", 400)
            return
        if not tries.isdecimal():
            self.answer(f"tries parameter is invalid. {tries}\n", 400)
            return
        if not request:
            self.answer("request parameter not specified.\n", 400)
            return
        try:
            address = resolved(asked.get("host", ""), int(asked.get("port", "")), protocol)
        except (OSError, ValueError) as error:
            self.answer(f"host and/or port param are invalid. {error}\n", 400)
            return
        responses: list[str] = []
        errors: list[str] = []
        for _ in range(int(tries)):
            try:
                responses.append(dial(protocol, address, request))
            except OSError as error:
                errors.append(str(error))
        said = {"responses": responses} if responses else {}
        self.answer(json.dumps(said | ({"errors": errors} if errors else {})))


_PAGES = {
    "/clientip": Pages.client_ip,
    "/header": Pages.header,
    "/echo": Pages.echo,
    "/hostname": Pages.host_name,
    "/hostName": Pages.host_name,
    "/healthz": Pages.healthz,
    "/exit": Pages.exit,
    "/shutdown": Pages.shutdown,
    "/redirect": Pages.redirect,
    "/shell": Pages.shell,
    "/upload": Pages.upload,
    "/dial": Pages.dial,
}
