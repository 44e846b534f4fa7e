"""The power of nodes: cut, a machine falls silent and loses what it held; switched on, it boots anew."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from signal import SIGKILL

from testbed.clock import now_ns
from testbed.errors import CheckFailed
from testbed.lab.companion import Companions
from testbed.lab.node import LabNode
from testbed.runtime.interface import Underlay


class Power:
    """Which nodes have none. `nodes` are those that run: a node without power is not among them."""

    def __init__(
        self,
        nodes: dict[str, LabNode],
        underlay: Underlay,
        companions: Companions,
        kill: Callable[[str], Awaitable[None]],
    ) -> None:
        """`kill`: what else a machine is made of, besides its namespace."""
        self.off: set[str] = set()
        self._nodes = nodes
        self._underlay = underlay
        self._companions = companions
        self._kill = kill

    def require(self, name: str) -> None:
        """Raises CheckFailed where the node has no power."""
        if name in self.off:
            raise CheckFailed(
                f"node {name} is stopped", f"`testbed fault LAB heal {name}` boots it"
            )

    async def cut(self, name: str) -> int:
        """Take the node's power; returns the instant (ns) from which it was silent.

        Its link goes down first, so that what dies says no word: no FIN, no RST, no status. Then every
        process on it is killed, and its pods' namespaces go. Raises CheckFailed where it has none.
        """
        self.require(name)
        node = self._nodes.pop(name)
        self.off.add(name)
        self._underlay.unplug(name)
        t_ns = now_ns()
        pods = map(node.runtime.namespace, node.runtime.pods())
        for pid in _processes_in((node.namespace, *pods)):
            with suppress(ProcessLookupError):  # it has gone with one that was killed before
                os.kill(pid, SIGKILL)
        await self._kill(name)
        await node.stop()
        await self._companions.end(name)
        return t_ns

    def switched_on(self, name: str) -> bool:
        """Wire a machine anew under the name, and plug it in; whether it had no power."""
        if name not in self.off:
            return False
        self.off.discard(name)
        self._underlay.renew(name)
        return True


def _processes_in(namespaces: Iterable[int]) -> list[int]:
    """Every process of the lab that sits in one of these network namespaces (descriptors)."""
    inodes = {os.fstat(namespace).st_ino for namespace in namespaces}
    return [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _inode(pid) in inodes
    ]


def _inode(pid: int) -> int | None:
    """Of a process's network namespace; None: it has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None
