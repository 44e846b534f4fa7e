"""Counts whom every node picks, for whoever watches: as the recorder, but sums instead of a file."""

from __future__ import annotations

import os
import selectors
import socket
from collections import Counter
from typing import Any

from testbed.clock import now_s
from testbed.traffic import conntrack, ctnetlink
from testbed.traffic.channel import TERMINATED, Channel
from testbed.traffic.recorder import Listener

PERIOD_S = 0.25
"""From one report to the next, where there is news."""
_NICENESS = 10
"""Whoever watches comes after what is watched; what has to wait is in the listeners' buffers."""


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Count until SIGTERM or until `channel` closes.

    `config`: {"nodes": {"n1": path of its network namespace}}. Says {"ready": true} once it listens
    everywhere; then {"picks": [[node, protocol's number, service address, endpoint, new connections], …],
    "lost": how often a buffer overflowed since the last report} whenever there were some.

    Raises OSError where a namespace cannot be entered.
    """
    os.nice(_NICENESS)
    control = Channel(channel)
    names = tuple(config["nodes"])
    listeners = [
        Listener(place, path, [ctnetlink.GROUP_NEW])
        for place, path in enumerate(config["nodes"].values())
    ]
    meter = _Meter(listeners, names, control)
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener.events, selectors.EVENT_READ, listener)
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        control.say({"ready": True})
        while True:
            ready = selector.select(meter.patience_s())
            for key, _ in ready:
                if key.data is not None:
                    meter.count(key.data.take())
            ended = any(key.data is None for key, _ in ready) and TERMINATED in control.receive()
            if ended:
                meter.drain()
                return
            if meter.patience_s() == 0.0:
                meter.report()


class _Meter:
    """Picks since the last report."""

    def __init__(self, listeners: list[Listener], names: tuple[str, ...], control: Channel) -> None:
        self._listeners = listeners
        self._names = names
        self._control = control
        self._picks: Counter[bytes] = Counter()
        self._overflows = 0
        self._due_s = 0.0

    def count(self, entries: list[bytes]) -> None:
        for entry in entries:
            pick = conntrack.pick_of(entry)
            if pick is not None:
                self._picks[pick] += 1

    def patience_s(self) -> float | None:
        """How long until a report is due; None: there is nothing to tell."""
        return max(0.0, self._due_s - now_s()) if self._picks else None

    def drain(self) -> None:
        """Report all that has happened by now."""
        for listener in self._listeners:
            while entries := listener.take():
                self.count(entries)
        self.report()

    def report(self) -> None:
        overflows = sum(listener.overflows for listener in self._listeners)
        self._control.say(
            {"picks": _told(self._picks, self._names), "lost": overflows - self._overflows}
        )
        self._overflows = overflows
        self._picks.clear()
        self._due_s = now_s() + PERIOD_S


def _told(picks: Counter[bytes], names: tuple[str, ...]) -> list[list[object]]:
    spelled = ((conntrack.spelled_pick(pick), count) for pick, count in picks.items())
    return [[names[place], *rest, count] for (place, *rest), count in spelled]
