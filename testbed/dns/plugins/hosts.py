"""`hosts [FILE [ZONES…]] { … }`: addresses and names out of a hosts file, or out of the Corefile itself.

Source: plugin/hosts/README.md and hosts.go of CoreDNS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from testbed.dns.corefile import CorefileError, Directive, Token
from testbed.dns.directives import (
    NONE,
    Fallthrough,
    Words,
    counted,
    duration,
    fallthrough,
    longest_zone,
    only,
    options,
    whole,
    zones,
)
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.records import reverse_name
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import AAAA, PTR, SERVFAIL, A, Record
from testbed.dns.zone_options import normal
from testbed.ip import canonical

_FILE = "/etc/hosts"
_TTL_S, _MOST_TTL_S = 3600, 65535
_RELOAD_S = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`inline`: (address, names) of the lines in the Corefile; `reload_s` 0: the file is read once."""

    file: str
    zones: tuple[str, ...]
    inline: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ttl_s: int = _TTL_S
    reverse: bool = True
    reload_s: float = _RELOAD_S
    falls: Fallthrough = NONE


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    file = directive.arguments[0].text if directive.arguments else _FILE
    found = Settings(file, zones(directive.arguments[1:], block_zones))
    inline = tuple(_inline(line) for line in directive.options if canonical(line[0].text))

    def say(**changes: object) -> None:
        nonlocal found
        found = replace(found, **changes)  # type: ignore[arg-type]

    def no_reverse(words: Words) -> None:
        counted(words, 0, 0)
        say(reverse=False)

    rest = tuple(line for line in directive.options if not canonical(line[0].text))
    options(
        replace(directive, options=rest),
        {
            "ttl": lambda words: say(ttl_s=whole(only(words), 1, _MOST_TTL_S)),
            "no_reverse": no_reverse,
            "reload": lambda words: say(reload_s=duration(only(words))),
            "fallthrough": lambda words: say(falls=fallthrough(words)),
        },
    )
    return replace(found, inline=inline)


def _inline(line: tuple[Token, ...]) -> tuple[str, tuple[str, ...]]:
    if len(line) < 2:
        raise CorefileError(line[0], f"{line[0]} has no name behind it")
    return canonical(line[0].text), tuple(normal(word.text) for word in line[1:])


def make(settings: Settings, block: Block) -> Made:
    hosts = Hosts(settings, block)
    hosts.read()
    return Made(hosts, hosts.close)


@dataclass(slots=True)
class Hosts:
    """Addresses by name and names by address, read again while the server runs."""

    settings: Settings
    block: Block
    name: str = "hosts"
    _text: str | None = None
    _addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _next_read: Callable[[], None] = lambda: None

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        question = query.question
        name = normal(question.name)
        if question.type == PTR and self.settings.reverse:
            targets = self._names.get(name, ())
            records = [self._record(question.name, PTR, f"{target}.") for target in targets]
            known = bool(targets)
        else:
            addresses = self._addresses.get(name, ())
            known = bool(addresses)
            made = (self._record(question.name, AAAA if ":" in ip else A, ip) for ip in addresses)
            records = [record for record in made if record.type == question.type]
        covered = longest_zone(name, self.settings.zones) is not None
        if not covered or (question.type == PTR and not known):
            next(query, respond)
        elif known:
            respond(Reply(answers=tuple(records)))
        elif self.settings.falls.lets(name):
            next(query, respond)
        else:
            # A hosts file has no SOA that could deny a name.
            self.block.fail(query, "plugin/hosts: no such name")
            respond(Reply(SERVFAIL, authoritative=False))

    def read(self) -> None:
        """Take the file's lines, and look again later. A file that is not there, or is no text, has none."""
        around = self.block.around
        try:
            text = around.read(self.settings.file)
        except (OSError, ValueError):
            text = ""
        if text != self._text:
            self._text = text
            self._fill([*_lines(text), *self.settings.inline])
            around.metrics.set("coredns_hosts_entries", (), len(self._addresses))
        if self.settings.reload_s:
            self._next_read = around.loop.later(self.settings.reload_s, self.read)

    def close(self) -> None:
        """Read no more."""
        self._next_read()

    def _fill(self, lines: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        addresses: dict[str, dict[str, None]] = {}
        names: dict[str, dict[str, None]] = {}
        for ip, of_line in lines:
            for one in of_line:
                addresses.setdefault(one, {})[ip] = None
                names.setdefault(reverse_name(ip), {})[one] = None
        self._addresses = {name: tuple(ips) for name, ips in addresses.items()}
        self._names = {reverse: tuple(found) for reverse, found in names.items()}

    def _record(self, name: str, rtype: int, data: str) -> Record:
        return Record(name, rtype, self.settings.ttl_s, data)


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(address, names) of each line of a hosts file that has both."""
    for line in text.splitlines():
        ip, *names = line.partition("#")[0].split() or [""]
        if canonical(ip) and names:
            yield canonical(ip), tuple(normal(name) for name in names)
