"""`autopath [ZONE…] @kubernetes|RESOLV.CONF`: walks a client's search list for it, in one query.

Source: plugin/autopath/README.md and autopath.go of CoreDNS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import all_words, counted, longest_zone, options, zones
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.search import parse_resolv_conf
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import AAAA, CNAME, NOERROR, SERVFAIL, A, Record
from testbed.dns.zone_options import normal

_SEARCHES = ("kubernetes",)
Search = Callable[[Query], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """`source`: `@` and a plug-in's name, or a file like resolv.conf."""

    zones: tuple[str, ...]
    source: str


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    options(directive, {})
    *of, source = counted(all_words(directive), 1)
    if source.text.startswith("@") and source.text[1:] not in _SEARCHES:
        hint = f"write {', '.join(f'@{one}' for one in _SEARCHES)} or a file like /etc/resolv.conf"
        raise CorefileError(source, f"{source} knows no search lists", hint)
    return Settings(zones(of, block_zones), source.text)


def make(settings: Settings, block: Block) -> Made:
    """Raises OSError for a file that cannot be read, ValueError where the plug-in is not in the block."""
    around = block.around
    if not settings.source.startswith("@"):
        listed = parse_resolv_conf(around.read(settings.source)).search
        return Made(Autopath(settings, block, lambda query: listed))
    search = block.searches.get(settings.source[1:])
    if search is None:
        raise ValueError(f"plugin/autopath: {settings.source[1:]} is not in this server block")
    own = parse_resolv_conf(around.read("/etc/resolv.conf")).search

    def with_own(query: Query) -> tuple[str, ...]:
        """A pod's, and then that of the server's node."""
        found = search(query)
        return (*found, *own) if found else ()

    return Made(Autopath(settings, block, with_own))


@dataclass(frozen=True, slots=True)
class Autopath:
    """A name in the first domain of the client's search list is looked for in all of them, then as it is."""

    settings: Settings
    block: Block
    search: Search
    name: str = "autopath"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        question = query.question
        name = normal(question.name)
        if question.type not in (A, AAAA) or longest_zone(name, self.settings.zones) is None:
            next(query, respond)
            return
        search = tuple(normal(domain) for domain in self.search(query))
        if not search or not name.endswith(f".{search[0]}"):
            # It may be one another time: pods come and go.
            next(query, lambda reply: respond(replace(reply, depends=None)))
            return
        base = question.name[: -len(search[0]) - 1].rstrip(".")
        candidates = (*(f"{base}.{domain}" for domain in search), base)
        _Walk(self.block, query, respond, next, candidates).go_on()


@dataclass(slots=True)
class _Walk:
    """What becomes of one query."""

    block: Block
    query: Query
    respond: Respond
    next: Serve
    candidates: tuple[str, ...]
    at: int = 0
    first: Reply | None = None

    def go_on(self) -> None:
        """Ask for the next candidate; the first's denial is the answer where all are denied."""
        if self.at == len(self.candidates):
            assert self.first is not None
            self.respond(self.first)
            return
        name = self.candidates[self.at]
        self.at += 1
        self.next(
            replace(self.query, question=replace(self.query.question, name=name)),
            lambda reply: self._take(name, reply),
        )

    def _take(self, name: str, reply: Reply) -> None:
        reply = replace(reply, depends=None)
        if self.first is None:
            self.first = reply
        if reply.rcode == SERVFAIL:  # whether the name exists nobody knows: it is not denied
            self.respond(reply)
            return
        if reply.rcode != NOERROR:
            self.go_on()
            return
        asked = self.query.question.name
        if normal(name) != normal(asked):
            self.block.around.metrics.count("coredns_autopath_success_total", (self.block.server,))
            if reply.answers:
                alias = Record(asked, CNAME, reply.answers[0].ttl, f"{name}.")
                reply = replace(reply, answers=(alias, *reply.answers))
        self.respond(reply)
