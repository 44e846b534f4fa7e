"""Asks a lab, again and again, what has changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from testbed.errors import NotFound
from testbed.lab.client import Lab
from testbed.live.tally import Addresses, PortRow, Rates, counts, port_rows

FIRST_EVENTS = 30
"""So many of the past are shown at once."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event: when by this machine's clock (s since 1970), and what, in a line."""

    at_s: float
    source: str
    kind: str
    node: str
    object: str
    detail: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at_s,
            "source": self.source,
            "kind": self.kind,
            "node": self.node,
            "object": self.object,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Glance:
    """A lab at one instant. `events`: those since the last glance."""

    at_s: float
    name: str
    kernel: str
    proxy: str
    nodes: tuple[dict[str, Any], ...]
    pods: tuple[dict[str, Any], ...]
    ports: tuple[PortRow, ...]
    events: tuple[Happened, ...]
    lost: int

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at_s,
            "name": self.name,
            "kernel": self.kernel,
            "proxy": self.proxy,
            "nodes": list(self.nodes),
            "pods": list(self.pods),
            "services": [port.to_json() for port in self.ports],
            "events": [event.to_json() for event in self.events],
            "lost": self.lost,
        }


class Watcher:
    """One lab. Costs it a short answer a glance, and the whole state only when that has changed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._since: int | None = None
        self._version = -1
        self._inspected: dict[str, Any] = {}
        self._addresses: Addresses | None = None
        self._rates = Rates()

    def glance(self) -> Glance | None:
        """The lab now; None: it has ended since the last one. Raises NotFound where there was none yet."""
        try:
            answer = self._lab.watch(self._since, FIRST_EVENTS)
            now_s = time.time()
            if answer["resource_version"] != self._version or self._addresses is None:
                self._inspected = self._lab.inspect()
                self._addresses = Addresses(self._inspected)
                self._version = answer["resource_version"]
        except (NotFound, OSError):
            if self._since is None:
                raise
            return None
        self._since = answer["next"]
        found = counts(answer["picks"], self._addresses)
        self._rates.add(answer["now_ns"], found)
        events = (_happened(event, answer["now_ns"], now_s) for event in answer["events"])
        return Glance(
            now_s,
            self._lab.name,
            self._inspected["kernel"],
            self._inspected["proxy"],
            tuple(self._inspected["nodes"]),
            tuple(self._inspected["pods"]),
            port_rows(self._inspected, found, self._rates),
            tuple(events),
            answer["lost"],
        )


def _happened(event: dict[str, Any], now_ns: int, now_s: float) -> Happened:
    return Happened(
        now_s - (now_ns - event["t_ns"]) / 1e9,
        event["source"],
        event["kind"],
        event["node"],
        event["object"],
        event["detail"],
    )
