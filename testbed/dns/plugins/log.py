"""`log [NAMES…] [FORMAT] { class … }`: a line for every query.

Source: plugin/log/README.md and plugin/pkg/replacer of CoreDNS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from testbed.dns.corefile import Directive
from testbed.dns.directives import Words, counted, longest_zone, one_of, options, zones
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.sizes import reply_size
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import NOERROR, NXDOMAIN, rcode_text, type_text
from testbed.dns.zone_options import normal

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
_FORMATS = {"{common}": COMMON, "{combined}": f'{COMMON} "{{>opcode}}"'}
_CLASSES = ("success", "denial", "error", "all")
_FIELD = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Which queries, and what is said of them."""

    zones: tuple[str, ...]
    format: str = COMMON
    classes: frozenset[str] = frozenset({"all"})


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    words = list(directive.arguments)
    text = COMMON
    if words and "{" in words[-1].text:
        text = words.pop().text
        text = _FORMATS.get(text, text)
    classes: set[str] = set()

    def read(words: Words) -> None:
        classes.update(one_of(word, _CLASSES) for word in counted(words, 1))

    options(directive, {"class": read})
    return Settings(zones(words, block_zones), text, frozenset(classes or {"all"}))


def make(settings: Settings, block: Block) -> Made:
    return Made(Log(settings, block))


@dataclass(frozen=True, slots=True)
class Log:
    """Sees every query: none is answered from what is kept ready."""

    settings: Settings
    block: Block
    name: str = "log"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        if longest_zone(normal(query.question.name), self.settings.zones) is None:
            next(query, respond)
            return
        loop = self.block.around.loop
        started_s = loop.now_s()

        def answered(reply: Reply) -> None:
            if {"all", class_of(reply)} & self.settings.classes:
                took_s = loop.now_s() - started_s
                line = text(self.settings.format, query, reply, took_s)
                self.block.around.say(f"[INFO] {line}")
            respond(replace(reply, depends=None))

        next(query, answered)


def class_of(reply: Reply) -> str:
    """success, denial or error."""
    if reply.rcode == NOERROR:
        return "success" if reply.answers else "denial"
    return "denial" if reply.rcode == NXDOMAIN else "error"


def text(format: str, query: Query, reply: Reply, took_s: float) -> str:
    """The line of a query; fields that mean nothing here are `-`."""
    question = query.question
    fields: dict[str, Callable[[], str]] = {
        "remote": lambda: f"[{query.client}]" if ":" in query.client else query.client,
        "port": lambda: str(query.port),
        ">id": lambda: str(query.ident),
        "type": lambda: type_text(question.type),
        "class": lambda: "IN" if question.class_ == 1 else f"CLASS{question.class_}",
        "name": lambda: f"{question.name}.",
        "proto": lambda: "tcp" if query.tcp else "udp",
        "size": lambda: str(query.size),
        ">do": lambda: str(query.dnssec_ok).lower(),
        ">bufsize": lambda: str(65535 if query.tcp else query.udp_size or 512),
        ">opcode": lambda: "0",
        "rcode": lambda: rcode_text(reply.rcode),
        ">rflags": lambda: _flags(query, reply),
        "rsize": lambda: str(reply_size(query, reply)),
        "duration": lambda: f"{took_s:.9f}s",
    }
    return _FIELD.sub(lambda one: fields.get(one[0][1:-1], lambda: "-")(), format)


def _flags(query: Query, reply: Reply) -> str:
    said = {
        "qr": True,
        "aa": reply.authoritative,
        "rd": query.recursion_desired,
        "ra": reply.recursion_available,
    }
    return ",".join(flag for flag, is_set in said.items() if is_set)
