"""Machines of a lab as Mininet's hosts and switches (`Machines`): the lab's side of `mininet_process`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from errno import EEXIST
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.fabric.machine import Cable, End, Fabric, Machine
from testbed.kernel import links, netlink, netns

_PATIENCE_S = 60.0
"""For an answer: a machine takes some 10 ms, and in a guest kernel half a second."""
_FIRST_PORT = {"switch": 1}
"""Mininet numbers ports of switches from 1, interfaces of hosts from 0."""
Linked = Callable[[str, str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Interface:
    """An end of a cable as Mininet knows it."""

    machine: str
    name: str
    """n1-eth0, s1-eth1, …"""
    port: int
    address: str
    """With its prefix length; "": none, as of a switch's port."""
    mac: str

    def to_json(self) -> list[str | int]:
        return [self.machine, self.name, self.port, self.address, self.mac]


class MininetMachines:
    """Makes machines, and tells Mininet what joins them.

    `linked` is awaited for the CLI's `link END END up|down`, and says why it was refused, or "".
    """

    def __init__(self, folder: Path, linked: Linked) -> None:
        self.cli_socket = folder / "mininet.sock"
        """Where users of the CLI are served (`mininet_user`)."""
        self._linked = linked
        self._pids: dict[str, int] = {}
        self._received = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_PATIENCE_S)
        with theirs:
            module = "testbed.runtime.mininet_process"
            # It ends with the lab: they share a PID namespace.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(self.cli_socket)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def create(self, machine: Machine) -> int:
        """A new machine, in place of one of that name; a descriptor of its network namespace."""
        request = {"do": "create", "name": machine.name, "switch": machine.kind == "switch"}
        pid = self._pids[machine.name] = int(self._call(request)["pid"])
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def remove(self, name: str) -> None:
        """The machine is no more."""
        del self._pids[name]
        self._call({"do": "remove", "name": name})

    def wired(self, fabric: Fabric) -> None:
        """Tell Mininet of all cables, and the kernel of Mininet's names for their ends."""
        machines = {machine.name: machine for machine in fabric.machines}
        ports = {name: _FIRST_PORT.get(one.kind, 0) for name, one in machines.items()}
        cables = []
        for cable in fabric.cables:
            ends = tuple(_known_as(end, machines[end.machine], ports) for end in cable.ends)
            cables.append([end.to_json() for end in ends])
            self._name(cable, [end.name for end in ends])
        self._call({"do": "wire", "cables": cables})

    def _name(self, cable: Cable, names: list[str]) -> None:
        """Interfaces have a second name, by which Mininet's users and its commands find them."""
        for end, name in zip(cable.ends, names, strict=True):
            pid = self._pids[end.machine]
            with netns.entered(f"/proc/{pid}/ns/net"), netlink.Netlink() as link:
                index = socket.if_nametoindex(end.interface)
                try:
                    link.send([links.second_name(index, name)])
                except netlink.NetlinkError as error:
                    if error.errno != EEXIST:
                        raise

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(request)
        while True:
            answer = self._next()
            if "link" in answer:
                self._carry_out(*answer["link"])
            elif "error" in answer:
                raise TestbedError(f"Mininet: {answer['error']}")
            else:
                return answer

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self._ended() from None

    def _next(self) -> dict[str, Any]:
        """The next message. Raises TestbedError where there is none."""
        while b"\n" not in self._received:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise self._ended()
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self) -> TestbedError:
        code = self._process.poll()
        said = f"it ended with code {code}" if code is not None else "it does not answer"
        return TestbedError(f"Mininet: {said}", "the lab's log says why")

    def _readable(self) -> None:
        """Somebody at the CLI asks for something, or Mininet has ended."""
        try:
            self._carry_out(*self._next()["link"])
        except TestbedError:
            asyncio.get_running_loop().remove_reader(self._socket)

    def _carry_out(self, one: str, other: str, status: str) -> None:
        async def answer() -> None:
            self._send({"linked": await self._linked(one, other, status)})

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _known_as(end: End, machine: Machine, ports: dict[str, int]) -> _Interface:
    """An end of the next cable; `ports` counts."""
    port = ports[end.machine]
    ports[end.machine] += 1
    return _Interface(
        end.machine, f"{end.machine}-eth{port}", port, next(_addresses(machine, end), ""), end.mac
    )


def _addresses(machine: Machine, end: End) -> Iterator[str]:
    """Those of an interface, IPv4 first: Mininet knows one, and means IPv4."""
    for interface in machine.interfaces:
        if interface.name == end.interface:
            yield from map(str, sorted(interface.addresses, key=lambda one: one.version))
