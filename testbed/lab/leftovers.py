"""What ended labs have left behind: processes that bear a lab's marker, folders without a lab, containers.

There should never be any: the kernel ends a lab's processes with its PID 1, a folder vanishes when
somebody lists the labs, and a process outside of the lab takes its containers away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.lab import docker_remains, docker_side, registry


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process (`what` is its number), a folder (its path) or a thing of Docker's (its name) of a lab that
    has ended.
    """

    lab: str
    kind: str
    """`process`, `folder`, `container`, `image` or `volume`."""
    what: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """The row that `doctor --leftovers` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Marked:
    """A process that bears the marker. `pid_namespace` is "" where it may not be asked."""

    pid: int
    lab: str
    pid_namespace: str
    command: str


def find(proc: Path = Path("/proc")) -> list[Leftover]:
    """What has outlived its lab: processes, folders and containers of this user's.

    Root sees the processes of others, but not where their labs are: theirs are not judged.
    """
    folders = registry.folders()
    ended = [path for path in folders if (path / "lock").exists() and not registry.is_alive(path)]
    alive = {
        path.name: _pid_namespace(proc, registry.pid(path))
        for path in folders
        if path not in ended  # one without a lock is only just starting
    }
    outside = {docker_side.outside_pid(path) for path in folders if path not in ended}
    strays = [
        Leftover(process.lab, "process", str(process.pid), process.command)
        for process in marked(proc)
        if process.pid not in outside and _is_ours(proc, process.pid) and outlived(process, alive)
    ]
    dead = [Leftover(path.name, "folder", str(path), "no process holds its lock") for path in ended]
    of_docker = [Leftover(one.lab, one.kind, one.name, one.detail) for one in docker_remains.find()]
    return strays + dead + of_docker


def outlived(process: Marked, alive: Mapping[str, str]) -> bool:
    """Whether its lab has ended; `alive` maps living labs to their PID namespaces.

    A new lab of the same name does not adopt a stray of the old one: its PID namespace is another.
    """
    if process.lab not in alive:
        return True
    home = alive[process.lab]
    return bool(home and process.pid_namespace) and home != process.pid_namespace


def marked(proc: Path = Path("/proc")) -> Iterator[Marked]:
    """The processes that bear the marker, as far as this user may see them."""
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended, or belongs to somebody else
        for variable in environment:
            name, _, value = variable.partition(b"=")
            if name == registry.MARKER.encode():
                pid = int(entry.name)
                yield Marked(pid, value.decode(), _pid_namespace(proc, pid), command.strip())


def _is_ours(proc: Path, pid: int) -> bool:
    try:
        return (proc / str(pid)).stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False  # it has just ended


def _pid_namespace(proc: Path, pid: int | None) -> str:
    try:
        return os.readlink(proc / str(pid) / "ns/pid")
    except OSError:
        return ""
