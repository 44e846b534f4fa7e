"""What passes along a server's chain of plug-ins: a query, its reply, and who may do what with them.

Everything is told by callbacks: a plug-in that has to wait (for an upstream, for a refresh) returns at once
and responds later, from its `Loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from testbed.dns.wire import NOERROR, Question, Record


@dataclass(frozen=True, slots=True)
class Query:
    """A question that the server has found fit to be asked: opcode QUERY, EDNS version 0 or none.

    A plug-in that asks something else on (`rewrite`, `autopath`) hands on `replace(query, question=…)`; the
    packet that goes back repeats the client's own question whatever the reply is about.
    """

    question: Question
    client: str
    """The client's address."""
    ident: int = 0
    """The packet's id: what varies between two clients that ask alike."""
    tcp: bool = False
    recursion_desired: bool = True
    udp_size: int | None = None
    """Bytes that the client takes over UDP; None: it does not speak EDNS0, 512."""
    dnssec_ok: bool = False
    """The DO bit: answered in kind, but nothing here is signed."""
    port: int = 0
    """The client's."""
    size: int = 0
    """Bytes of its packet."""
    rewritten: bool = False
    """A rule has changed the question, and no other one is to (`rewrite stop`)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to a query. Names in records keep the question's case."""

    rcode: int = NOERROR
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    recursion_available: bool = False
    rotate: bool = False
    """Whether address records may begin at any of them: the packet's id chooses (`loadbalance`)."""
    depends: frozenset[str] | None = None
    """The names (lower case, no final dot) of whatever the reply was made of: it holds for everybody who sends
    the same packet until the server is told that one of them has changed. None: it holds this once (the
    client's address matters, time passes, or somebody wants to see every query)."""
    counted: Callable[[int], None] | None = None
    """Who is to be told how many more times a reply that was kept was given (`prometheus`): before metrics are
    shown, and when it is kept no longer."""


Respond = Callable[[Reply], None]
"""Called exactly once for each query: at once, or later."""

Serve = Callable[[Query, Respond], None]
"""A chain, or what is left of it behind a plug-in."""


class Plugin(Protocol):
    """A link of the chain: answers, or asks `next` (the rest of the chain) and passes on what that says."""

    @property
    def name(self) -> str: ...

    def serve(self, query: Query, respond: Respond, next: Serve, /) -> None: ...


class Loop(Protocol):
    """The server's one thread, for plug-ins that wait for sockets or time."""

    def now_s(self) -> float:
        """Monotonic; no system call in the midst of a burst of packets."""
        ...

    def watch(self, fd: int, ready: Callable[[int], None], events: int) -> None:
        """Call `ready(events)` whenever the descriptor is (selectors.EVENT_…); again:
        other events, or another callback."""
        ...

    def unwatch(self, fd: int) -> None:
        """To be called before the descriptor is closed."""
        ...

    def later(self, delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call after a while; returns what calls it off."""
        ...
