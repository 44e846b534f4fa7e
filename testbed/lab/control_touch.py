"""Which nodes reach the control plane, found out by packets.

A node's kubelet and proxy share a process with the control plane: what they hear of it does not go by the
lab's links. Once links are tampered with, each node asks the control plane for an echo; as long as none comes
back it hears and says nothing. Before the first such fault nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from testbed.clock import now_ns
from testbed.events import Event, Record
from testbed.ip import IPAddress
from testbed.kernel.ping import ping
from testbed.lab.node import LabNode
from testbed.lab.node_watch import NodeWatch

_PATIENCE_S = 3.0
"""An echo is asked for every 100 ms; none for so long, and the node is cut off. Loss alone hardly does it."""
_PERIOD_S = 0.5
"""Between an answer and the next question."""


class Listener(Protocol):
    """Who else on a node is told of the cluster."""

    def hold(self, node: str) -> None:
        """The node hears nothing until `release`."""

    def release(self, node: str) -> None:
        """It hears what it has missed."""


class ControlTouch:
    """Keeps each node in touch with the control plane, or not."""

    def __init__(
        self, nodes: Mapping[str, LabNode], watches: Mapping[str, NodeWatch], record: Record
    ) -> None:
        self.target: IPAddress | None = None
        """An address of the control plane; None: it has none, and all are always in touch."""
        self.in_doubt: Callable[[], bool] = lambda: False
        """Whether links are such that somebody may be cut off."""
        self.listeners: list[Listener] = []
        self._nodes = nodes
        self._watches = watches
        self._record = record
        self._held: set[str] = set()
        self._lost: dict[str, int] = {}
        """Nodes that are cut off, and since when (ns)."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def lost(self) -> frozenset[str]:
        """Nodes that do not reach the control plane."""
        return frozenset(self._lost)

    def doubt(self, names: Iterable[str] | None = None) -> None:
        """Links have changed: these nodes (None: all) hear nothing until an echo has come back anew."""
        for name in tuple(self._nodes if names is None else names):
            if name in self._tasks:
                self._tasks[name].cancel()
            if self.target is not None:
                self._hold(name)
                self._tasks[name] = asyncio.create_task(self._follow(name, now_ns()))

    def suspend(self) -> None:
        """Links are being changed: nobody is found in touch or lost until `doubt`."""
        for task in self._tasks.values():
            task.cancel()

    def forget(self, name: str) -> None:
        """The node is no more, or without power."""
        if name in self._tasks:
            self._tasks.pop(name).cancel()
        if name in self._held:
            self._held.discard(name)
            for listener in self.listeners:
                listener.release(name)
        self._lost.pop(name, None)

    async def _follow(self, name: str, since_ns: int) -> None:
        while name in self._nodes:
            silent = await self._is_silent(name)
            if name not in self._nodes:
                return
            if silent:
                self._hold(name)
                self._lose(name, since_ns)
            else:
                self._release(name)
                if not self.in_doubt():
                    return
                await asyncio.sleep(_PERIOD_S)
                since_ns = now_ns()

    async def _is_silent(self, name: str) -> bool:
        assert self.target is not None
        return bool(await ping(self._nodes[name].namespace, [self.target], _PATIENCE_S))

    def _hold(self, name: str) -> None:
        if name not in self._held:
            self._held.add(name)
            self._nodes[name].kubelet.lose_touch()
            if name in self._watches:
                self._watches[name].hold()
            for listener in self.listeners:
                listener.hold(name)

    def _release(self, name: str) -> None:
        if name in self._held:
            self._held.discard(name)
            if name in self._watches:
                self._watches[name].release()
            for listener in self.listeners:
                listener.release(name)
            self._nodes[name].kubelet.regain_touch()
        if self._lost.pop(name, None) is not None:
            self._record(Event(now_ns(), "lab", name, "control-plane-back", name, 0, {}))

    def _lose(self, name: str, since_ns: int) -> None:
        if name not in self._lost:
            self._lost[name] = since_ns
            self._record(Event(since_ns, "lab", name, "control-plane-lost", name, 0, {}))
