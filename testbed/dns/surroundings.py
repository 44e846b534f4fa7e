"""What plug-ins are given of the server that they sit in, and what they are made into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from testbed.dns.corefile import Directive
from testbed.dns.metrics import Metrics
from testbed.dns.query import Loop, Plugin, Query, Serve
from testbed.dns.wire import Response, decode_query
from testbed.dns.zone import Zone
from testbed.dns.zone_options import ZoneOptions, normal


@dataclass(slots=True)
class Names:
    """The names of a cluster under some options: `zone` is the latest of its versions."""

    zone: Zone
    synced: bool = False
    """Whether it has heard of all there is: until then it knows nothing."""


class Pages(Protocol):
    """HTTP pages that the server shows beside its answers."""

    def add(self, address: tuple[str, int], path: str, page: Callable[[], Page]) -> None:
        """Show one. Raises OSError where the address cannot be had."""
        ...

    def close(self) -> None:
        """Show none any more."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a GET."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Errand:
    """A query to another server."""

    to: tuple[str, int]
    packet: bytes
    tcp: bool
    timeout_s: float
    done: Callable[[Response | str], None]
    """Told the answer, or why there is none."""
    keep_s: float = 0.0
    """How long a TCP connection is kept for the next."""

    def answered_by(self, response: Response) -> bool:
        """Whether a packet with the same id answers the same question."""
        asked = decode_query(self.packet).question
        told = response.question
        return told is not None and (asked.type, normal(asked.name)) == (
            told.type,
            normal(told.name),
        )


class Dial(Protocol):
    """Who carries errands out."""

    def ask(self, errand: Errand) -> None:
        """`done` is called later, never from within."""
        ...


@dataclass(slots=True)
class Life:
    """What plug-ins say about the life of their server."""

    lameduck_s: float = 0.0
    """How long it goes on answering when it has been told to end (`health`)."""
    ending: bool = False
    """It has been told to: it is not ready any more."""
    reload_s: tuple[float, float] | None = None
    """(interval, jitter) of looks at the Corefile (`reload`); None: it is read once."""
    stacktrace: bool = False
    """Whether the log says where a mistake of a plug-in's was made (`errors`)."""
    readiness: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    """Plug-ins, and whether they can answer already."""

    def unready(self) -> tuple[str, ...]:
        """The names of those that cannot."""
        return tuple(sorted({name for name, ready in self.readiness if not ready()}))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of one server."""

    loop: Loop
    pages: Pages
    metrics: Metrics
    names: Callable[[ZoneOptions], Names]
    """The cluster's names under some options; they are kept true from then on."""
    dial: Dial
    say: Callable[[str], None]
    """A line of the server's log."""
    below: Callable[[int], int]
    """A random number below another."""
    read: Callable[[str], str]
    """The text of a file. Raises OSError. /etc/hosts and /etc/resolv.conf are the pod's own."""
    give_up: Callable[[str], None] = lambda why: None
    """End the server with these last words."""


@dataclass(slots=True)
class Block:
    """One server block, while its plug-ins are made, from the last to the first."""

    server: str
    """As metrics name it: `dns://:53`."""
    zones: tuple[str, ...]
    around: Surroundings
    life: Life
    asked: Serve
    """The whole server: what a plug-in asks that has a question of its own."""
    failed: list[Callable[[Query, str], None]] = field(default_factory=list)
    """Who hears why a query failed."""
    searches: dict[str, Callable[[Query], tuple[str, ...]]] = field(default_factory=dict)
    """Plug-in -> the search list of who asks (`autopath @NAME`)."""
    plugins: tuple[str, ...] = ()
    """Those of the block, in their order."""

    def fail(self, query: Query, why: str) -> None:
        """Tell why a query gets SERVFAIL."""
        for told in self.failed:
            told(query, why)


@dataclass(frozen=True, slots=True)
class Made:
    """What a plug-in's lines come to: nothing in the chain for one that only shows a page."""

    plugin: Plugin | None = None
    close: Callable[[], None] = lambda: None
    ready: Callable[[], bool] = lambda: True
    """Whether it can answer already (`ready` asks)."""


class Kind(Protocol):
    """A plug-in's module."""

    def settings(self, directive: Directive, zones: tuple[str, ...]) -> Any:
        """What its lines say. `zones`: the block's. Raises CorefileError."""
        ...

    def make(self, settings: Any, block: Block) -> Made:
        """Raises OSError where a socket cannot be had."""
        ...
