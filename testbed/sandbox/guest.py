"""Booting a guest kernel inside a world, with a cable to it.

The guest sees the host's files read-only (hostfs) and, to write to, one folder: its own. What is said to it
goes by TCP over a veth pair whose far end the kernel reads with a packet socket: User-Mode Linux's `raw`
vector transport, which needs no rights beyond those of the world.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from errno import EINVAL
from ipaddress import IPv4Interface
from pathlib import Path

from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.kernel.addresses import address
from testbed.kernel.ethtool import plain_frames
from testbed.kernel.guests import GuestKernel
from testbed.kernel.links import End, link_up, veth
from testbed.kernel.neighbours import neighbour
from testbed.kernel.netlink import Netlink
from testbed.kernel.sysctl import write
from testbed.sandbox.one_cpu import on_one_cpu
from testbed.sandbox.world import mount

HOST, GUEST = IPv4Interface("169.254.0.1/30"), IPv4Interface("169.254.0.2/30")
HOST_MAC, GUEST_MAC = "02:00:a9:fe:00:01", "02:00:a9:fe:00:02"
PORT = 7000
"""Where the guest serves, and the host waits for its hello."""
_NEAR, _FAR = "guest", "guest-wire"
_MTU = 1500
_MEMORY = "4G"
"""At most: the file that holds it has holes until the guest touches them."""
_BOOT_S = 120.0
JOB = "guest.json"


@dataclass(frozen=True, slots=True)
class Job:
    """What the guest's init is told, in the file `guest.json` of its folder."""

    folder: str
    modules: str
    """Folder of the kernel's modules, "" where all is built in."""
    env: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Job:
        return cls(**json.loads((folder / JOB).read_text()))


class Guest:
    """A guest kernel that boots or runs. It ends with the world at the latest."""

    def __init__(self, process: subprocess.Popen[bytes], listener: socket.socket) -> None:
        self.process = process
        self._listener = listener

    def hello(self) -> socket.socket:
        """The connection that the guest makes when it is up. Raises TestbedError where it ends before."""
        ended = os.pidfd_open(self.process.pid)
        try:
            readable, _, _ = select.select([self._listener.fileno(), ended], [], [], _BOOT_S)
        finally:
            os.close(ended)
        if not readable:
            raise OutOfTimeOrRoom(f"the guest kernel did not come up within {_BOOT_S:g} s")
        if self._listener.fileno() not in readable:
            raise TestbedError("the guest kernel ended while it booted", "see the lab's log")
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self) -> socket.socket:
        """A connection to what the guest serves."""
        sock = socket.create_connection((str(GUEST.ip), PORT))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def boot(kernel: GuestKernel, folder: Path, init: str, env: dict[str, str]) -> Guest:
    """Start the kernel in this world; its init is `python -m INIT FOLDER`, its console our stderr."""
    _cable()
    memory = folder / "memory"
    memory.mkdir()
    _mount_memory(memory)
    job = Job(str(folder), str(kernel.modules or ""), env)
    (folder / JOB).write_text(json.dumps(asdict(job)))
    listener = socket.create_server((str(HOST.ip), PORT))
    with on_one_cpu():
        process = subprocess.Popen(
            _command_line(kernel, folder, memory, init),
            stdin=subprocess.DEVNULL,
            stdout=2,
            env={**os.environ, "TMPDIR": str(memory), "HOME": str(memory)},
        )
    return Guest(process, listener)


def _mount_memory(folder: Path) -> None:
    """In large pages, where this kernel has them: a guest starts a lab in 0.8 of the time."""
    for pages in (",huge=always", ""):
        try:
            mount("tmpfs", str(folder), "tmpfs", data=f"size=100%,mode=700{pages}")
        except OSError as error:
            if error.errno != EINVAL or not pages:
                raise
        else:
            return


def _command_line(kernel: GuestKernel, folder: Path, memory: Path, init: str) -> list[str]:
    """`ro`: as root with `rw` the guest would write the host's files."""
    wire = f"vec0:transport=raw,ifname={_FAR},mac={GUEST_MAC}"
    root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
    console = ["con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=3"]
    own = [f"mem={_MEMORY}", f"uml_dir={memory}", "umid=lab", wire]
    python_path = [f'PYTHONPATH="{path}"' for path in [os.environ.get("PYTHONPATH")] if path]
    start = [f'init="{sys.executable}"', *python_path, "--", "-m", init, f'"{folder}"']
    return [str(kernel.binary), *own, *root, *console, *start]


def _cable() -> None:
    """The pair of interfaces: ours has an address, the far one is the kernel's to read."""
    write([("ipv6/conf/default/disable_ipv6", "1"), ("ipv6/conf/all/disable_ipv6", "1")])
    with Netlink() as netlink:
        netlink.send([veth(End(_NEAR, HOST_MAC, _MTU), End(_FAR, "02:00:a9:fe:00:03", _MTU))])
        near, far = socket.if_nametoindex(_NEAR), socket.if_nametoindex(_FAR)
        for name in (_NEAR, _FAR):
            plain_frames(name)
        netlink.send(
            [
                link_up(socket.if_nametoindex("lo")),
                link_up(near),
                link_up(far),
                address(HOST, near),
                neighbour(GUEST.ip.packed, GUEST_MAC, near),
            ]
        )
