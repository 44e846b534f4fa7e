"""A Docker daemon for tests: in mount, PID and network namespaces of its own, with nothing on disk.

Labs that are to have its containers run in the same namespaces: `World.run`. It has one image, made here.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from testbed.sandbox.world import in_user_namespace
from tests.lab.outer import ROOT, TESTBED

IMAGE = "test/box:1"
_SOCKET = "/run/docker.sock"
_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE_S = 300.0
_TOOLS = ("sh", "cat", "hostname", "httpd", "mkdir", "nslookup", "sleep", "wget")
_DAEMON = """
mount -t tmpfs tmpfs /run
mkdir /run/docker
ip link set lo up
dockerd --host unix:///run/docker.sock --data-root /run/docker/data --exec-root /run/docker/exec \
  --pidfile /run/docker/pid --storage-driver vfs --bridge none --iptables=false --ip6tables=false \
  --cgroup-parent "/$1" --oom-score-adjust 0 --log-level error &
wait
"""
"""The shell reaps what it inherits, as a host's init does."""


def lacking() -> str:
    """Why there can be no daemon here; "" where there can be one."""
    if os.geteuid() != 0 or in_user_namespace():
        return "a Docker daemon needs root"
    missing = [tool for tool in ("dockerd", "busybox") if shutil.which(tool) is None]
    return f"there is no {' and no '.join(missing)} here (scripts/setup test)" if missing else ""


@dataclass(frozen=True)
class World:
    """The daemon's namespaces; `pid` is their first process."""

    pid: int

    @property
    def socket(self) -> str:
        """As it is seen from here."""
        return f"unix:///proc/{self.pid}/root{_SOCKET}"

    @property
    def labs(self) -> Path:
        """The folder of the labs in there."""
        return Path(f"/proc/{self.pid}/root/run/testbed")

    def run(self, *argv: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in there to its end."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--"]
        return subprocess.run(
            [*enter, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "DOCKER_HOST": f"unix://{_SOCKET}",
                **env,
            },
        )

    def testbed(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `testbed ARGUMENTS` in there."""
        return self.run(*TESTBED, *arguments, stdin=stdin)

    def python(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program in there."""
        return self.run(sys.executable, "-c", program)


@contextmanager
def daemon() -> Iterator[tuple[World, docker.APIClient]]:
    """A daemon that answers and has the image, and a client of it; nothing is left of it in the end."""
    cgroup = f"testbed-test-{uuid.uuid4().hex[:8]}"
    unshare = ["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "--kill-child"]
    process = subprocess.Popen(
        [*unshare, "sh", "-c", _DAEMON, "sh", cgroup],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        world = World(_child_of(process.pid))
        client = _client(world, process)
        client.import_image_from_data(_image(), *IMAGE.split(":"))
        yield world, client
        client.close()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _remove_cgroups(cgroup)


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    _until(lambda: bool(children.read_text().split()))
    return int(children.read_text().split()[0])


def _client(world: World, process: subprocess.Popen[bytes]) -> docker.APIClient:
    socket = Path(world.socket.removeprefix("unix://"))

    def listens() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return socket.exists()

    _until(listens)
    return docker.APIClient(base_url=world.socket, version="auto")


def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "the daemon does not start"
        time.sleep(0.02)


def _image() -> bytes:
    """A busybox and the names that it goes by."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for name in _TOOLS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return packed.getvalue()


def _remove_cgroups(name: str) -> None:
    """The folders that containers had: the kernel keeps them, empty, when their processes are gone."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while left := sorted(_CGROUPS.glob(f"{name}*")) + sorted(_CGROUPS.glob(f"*/{name}*")):
        assert time.monotonic() < deadline_s, left
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):  # its last process is ending
                    os.rmdir(folder)
