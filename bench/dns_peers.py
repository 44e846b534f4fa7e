"""DNS servers that serve the same service names, on one CPU, and are told of changes each in its own way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from bench.sandbox import PYTHON
from testbed.dns.wire import A, decode_response, encode_query
from testbed.model.corefile_text import kubeadm_corefile
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort

ADDRESS = "127.0.0.1"
DOMAIN = "cluster.local"
TTL_S = 5
SERVER_CPU = 0
_PATIENCE_S = 60.0
_NAMES_A_FILE = 32
"""Of dnsmasq's: with more a change costs it more (5 ms with 10,000 services, 38 ms with ten times as many),
with fewer an answer does, as it looks through the files for every one."""
_OURS = """
import json, socket, sys
from testbed.dns.chain_server import main
main(json.loads(sys.argv[2]), socket.socket(fileno=int(sys.argv[1])))
"""
Change = Callable[[int, str], None]
"""Gives the service of a number another address."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that answers for all names."""

    name: str
    made_of: str
    port: int
    pid: int
    change: Change


def name_of(number: int) -> str:
    return f"svc-{number}.default.svc.{DOMAIN}"


def ip_of(number: int, turn: int = 0) -> str:
    """The address of a service; another one for each turn."""
    return f"10.{96 + turn % 2}.{number // 250}.{number % 250 + 1}"


@contextmanager
def all_serving(services: int, folder: Path) -> Iterator[tuple[Peer, ...]]:
    """All of them, with so many services, until the block ends."""
    with ExitStack() as stack:
        peers = tuple(
            stack.enter_context(start(services, folder, port))
            for port, start in enumerate((_ours, _dnsmasq, _unbound), 5300)
        )
        for peer in peers:
            wait_for(peer, services - 1, ip_of(services - 1))
        yield peers


def wait_for(peer: Peer, number: int, ip: str) -> None:
    """Until it answers with this address. Raises RuntimeError where it does not come to that."""
    until_s = monotonic() + _PATIENCE_S
    while asked(peer.port, name_of(number)) != [ip]:
        if monotonic() > until_s:
            raise RuntimeError(f"{peer.name} does not say {ip} for {name_of(number)}")
        sleep(0.01)


def asked(port: int, name: str) -> list[str]:
    """The addresses that a server says; [] where it says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        sock.connect((ADDRESS, port))
        try:
            sock.send(encode_query(1, name, A))
            return [record.data for record in decode_response(sock.recv(4096)).answers]
        except OSError:
            return []


@contextmanager
def _running(argv: Sequence[str], fds: Sequence[int] = ()) -> Iterator[int]:
    """A process on the servers' CPU; its number."""
    pinned = ["taskset", "--cpu-list", str(SERVER_CPU), *argv]
    with subprocess.Popen(pinned, pass_fds=fds, stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def _ours(services: int, _folder: Path, port: int) -> Iterator[Peer]:
    corefile = kubeadm_corefile(DOMAIN, has_upstream=False)
    config = {"listen": [ADDRESS], "port": port, "corefile": corefile}
    channel, theirs = socket.socketpair()
    argv = [PYTHON, "-c", _OURS, str(theirs.fileno()), json.dumps(config)]
    version = 1

    def send(message: dict[str, object]) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    def change(number: int, ip: str) -> None:
        nonlocal version
        version += 1
        changes = [{"type": "MODIFIED", "object": _manifest(number, ip)}]
        send({"changes": changes, "resource_version": version})

    with channel, _running(argv, [theirs.fileno()]) as pid:
        theirs.close()
        channel.recv(4096)  # it is ready
        objects = [_manifest(number, ip_of(number)) for number in range(services)]
        send({"objects": objects, "resource_version": version, "synced": True})
        yield Peer("testbed", "a Python process, kubeadm's Corefile", port, pid, change)


def _manifest(number: int, ip: str) -> dict[str, object]:
    meta = ObjectMeta(f"svc-{number}", "default")
    manifest: dict[str, object] = to_manifest(
        Service(meta, cluster_ips=(ip,), ports=(ServicePort(80),))
    )
    return manifest


@contextmanager
def _dnsmasq(services: int, folder: Path, port: int) -> Iterator[Peer]:
    """Hosts files in a directory that it watches: its quickest way to learn of changes."""
    files = max(1, services // _NAMES_A_FILE)
    hosts = folder / "hosts"
    hosts.mkdir()
    ips = [ip_of(number) for number in range(services)]

    def write(file: int) -> None:
        numbers = range(file, services, files)
        lines = (f"{ips[number]} {name_of(number)}\n" for number in numbers)
        (folder / "next").write_text("".join(lines))
        os.rename(folder / "next", hosts / str(file))

    def change(number: int, ip: str) -> None:
        ips[number] = ip
        write(number % files)

    for file in range(files):
        write(file)
    argv = [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"),
        *(f"--port={port}", f"--listen-address={ADDRESS}", "--bind-interfaces", "--no-resolv"),
        *("--no-hosts", f"--hostsdir={hosts}", f"--local=/{DOMAIN}/", f"--local-ttl={TTL_S}"),
        "--pid-file",
    ]
    with _running(argv) as pid:
        yield Peer("dnsmasq", f"a C process, {files} hosts files", port, pid, change)


_UNBOUND = """
server:
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  verbosity: 0
  do-daemonize: no
  num-threads: 1
  interface: {address}
  port: {port}
  local-zone: "{domain}." static
  include: "{folder}/services"
remote-control:
  control-enable: yes
  control-interface: "{folder}/control"
"""


@contextmanager
def _unbound(services: int, folder: Path, port: int) -> Iterator[Peer]:
    """Local data, changed over its control socket as unbound-control does."""
    record = f"{{}}. {TTL_S} IN A {{}}"
    lines = (
        f'local-data: "{record.format(name_of(number), ip_of(number))}"\n'
        for number in range(services)
    )
    (folder / "services").write_text("".join(lines))
    config = folder / "unbound.conf"
    config.write_text(_UNBOUND.format(folder=folder, address=ADDRESS, port=port, domain=DOMAIN))

    def control(command: str) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(folder / "control"))
            sock.sendall(f"UBCT1 {command}\n".encode())
            said = sock.recv(4096)
        if said.strip() != b"ok":
            raise RuntimeError(f"unbound, told {command}: {said!r}")

    def change(number: int, ip: str) -> None:
        control(f"local_data_remove {name_of(number)}")
        control(f"local_data {record.format(name_of(number), ip)}")

    with _running(["unbound", "-d", "-c", str(config)]) as pid:
        yield Peer("unbound", "a C process, local data", port, pid, change)
