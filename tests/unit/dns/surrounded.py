"""A chain without its server: time passes when it is told to, other servers say what a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from testbed.dns.chain import Chain, planned
from testbed.dns.metrics import Metrics
from testbed.dns.query import Query, Reply
from testbed.dns.surroundings import Errand, Names, Page, Surroundings
from testbed.dns.wire import (
    IN,
    NOERROR,
    Question,
    Record,
    Response,
    decode_query,
    rcode_text,
    type_number,
    type_text,
)
from testbed.dns.zone import Zone
from testbed.dns.zone_options import ZoneOptions
from testbed.model.objects.metadata import Object

CLIENT = "10.244.1.2"
Said = Response | str
"""What another server answers, or why it does not."""


@dataclass
class World:
    """Whatever surrounds a chain."""

    objects: tuple[Object, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    upstream: Callable[[Errand, Question], Said | None] = lambda errand, question: "i/o timeout"
    """None: nothing is said until the errand's time is over."""
    synced: bool = True
    now: float = 1000.0
    timers: list[tuple[float, list[Callable[[], None]]]] = field(default_factory=list)
    errands: list[tuple[str, bool, Question]] = field(default_factory=list)
    """(to whom, whether over TCP, what was asked), as they were sent."""
    log: list[str] = field(default_factory=list)
    pages: dict[tuple[tuple[str, int], str], Callable[[], Page]] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    names: list[Names] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)

    def chain(self, *lines: str, zone: str = ".") -> Chain:
        """The chain of a Corefile of one block."""
        return self.chain_of(f"{zone} {{\n" + "\n".join(lines) + "\n}\n")

    def chain_of(self, corefile: str) -> Chain:
        around = Surroundings(
            loop=self,
            pages=self,
            metrics=self.metrics,
            names=self._names,
            dial=self,
            say=self.log.append,
            below=lambda count: 0,
            read=self._read,
            give_up=self.gave_up.append,
        )
        return Chain(planned(corefile), around)

    def pass_s(self, seconds: float) -> None:
        """Let time pass; whoever waited for a moment of it is called."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            for call in first[1]:
                call()
        self.now = end

    # The loop

    def now_s(self) -> float:
        return self.now

    def later(self, delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
        calls = [call]
        self.timers.append((self.now + delay_s, calls))
        return calls.clear

    def watch(self, fd: int, ready: Callable[[int], None], events: int) -> None:
        raise AssertionError("a chain without sockets")

    def unwatch(self, fd: int) -> None:
        raise AssertionError("a chain without sockets")

    # The pages

    def add(self, address: tuple[str, int], path: str, page: Callable[[], Page]) -> None:
        self.pages[address, path] = page

    def close(self) -> None:
        self.pages.clear()

    # Other servers

    def ask(self, errand: Errand) -> None:
        question = decode_query(errand.packet).question
        self.errands.append((errand.to[0], errand.tcp, question))
        said = self.upstream(errand, question)
        delay_s = errand.timeout_s if said is None else 0.0
        self.later(delay_s, lambda: errand.done("i/o timeout" if said is None else said))

    def _names(self, options: ZoneOptions) -> Names:
        zone, _ = Zone(options).after([("ADDED", item) for item in self.objects], 7)
        self.names.append(Names(zone, self.synced))
        return self.names[-1]

    def _read(self, file: str) -> str:
        if file not in self.files:
            raise FileNotFoundError(file)
        return self.files[file].encode("latin-1").decode()


def asked(chain: Chain, name: str, rtype: str = "A", **more: Any) -> list[Reply]:
    """Ask; the list holds the reply, as soon as there is one."""
    query = Query(Question(name, type_number(rtype), IN), more.pop("client", CLIENT), **more)
    replies: list[Reply] = []
    chain.serve(query, replies.append)
    return replies


def said(replies: list[Reply]) -> list[str]:
    """The rcode, and the answers as a zone file writes them."""
    assert len(replies) == 1, f"{len(replies)} replies"
    (reply,) = replies
    return [rcode_text(reply.rcode), *(written(record) for record in reply.answers)]


def written(record: Record) -> str:
    return f"{record.name} {record.ttl} {type_text(record.type)} {record.data}"


def response(question: Question, *data: str, ttl: int = 60, rcode: int = NOERROR) -> Response:
    """An answer with records of the type that was asked for."""
    records = tuple(Record(question.name, question.type, ttl, one) for one in data)
    return Response(0, rcode, False, records, (), question)
