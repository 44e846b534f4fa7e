"""`forward FROM TO… { … }`: asks other servers.

Source: plugin/forward/README.md and forward.go, plugin/pkg/proxy of CoreDNS.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from testbed.dns.corefile import CorefileError, Directive, Token, zone_of
from testbed.dns.directives import (
    Words,
    all_words,
    counted,
    duration,
    longest_zone,
    one_of,
    only,
    options,
    whole,
    zones,
)
from testbed.dns.labels import WireError
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.rdata import NS
from testbed.dns.search import parse_resolv_conf
from testbed.dns.surroundings import Block, Errand, Made
from testbed.dns.wire import OPT, REFUSED, SERVFAIL, Response, encode_query, rcode_text
from testbed.dns.zone_options import normal
from testbed.ip import host_port

POLICIES = ("random", "round_robin", "sequential")
DEADLINE_S = 5.0
"""A query that no upstream has answered by then gets SERVFAIL."""
TIMEOUT_S = 2.0
_CHECK_TIMEOUT_S = 1.0
_MOST_UPSTREAMS = 15
_UNBUILT = "tls tls_servername max_connect_attempts failover"
To = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults are CoreDNS's. `to` holds addresses with ports, and names of files like resolv.conf."""

    zone: str
    to: tuple[To | str, ...]
    excepted: tuple[str, ...] = ()
    force_tcp: bool = False
    prefer_udp: bool = False
    expire_s: float = 10.0
    max_fails: int = 2
    policy: str = "random"
    check_s: float = 0.5
    check_name: str = ""
    check_recursive: bool = True
    max_concurrent: int = 0
    failfast: bool = False
    next_rcodes: frozenset[str] = frozenset()


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    zone, *to = counted(all_words(directive), 2, _MOST_UPSTREAMS + 1)
    found = Settings(zone_of(zone)[0], tuple(map(_upstream, to)))

    def say(**changes: object) -> None:
        nonlocal found
        found = replace(found, **changes)  # type: ignore[arg-type]

    def checks(words: Words) -> None:
        period, *more = counted(words, 1, 4)
        say(check_s=duration(period))
        while more:
            if one_of(more[0], ("no_rec", "domain")) == "domain":
                if len(more) < 2:
                    raise CorefileError(more[0], "domain needs a name behind it")
                say(check_name=zone_of(more.pop(1))[0])
            else:
                say(check_recursive=False)
            more.pop(0)

    def alone(key: str) -> Callable[[Words], None]:
        def read(words: Words) -> None:
            counted(words, 0, 0)
            say(**{key: True})

        return read

    options(
        directive,
        {
            "except": lambda words: say(excepted=zones(counted(words, 1), ())),
            "force_tcp": alone("force_tcp"),
            "prefer_udp": alone("prefer_udp"),
            "expire": lambda words: say(expire_s=duration(only(words))),
            "max_fails": lambda words: say(max_fails=whole(only(words))),
            "policy": lambda words: say(policy=one_of(only(words), POLICIES)),
            "health_check": checks,
            "max_concurrent": lambda words: say(max_concurrent=whole(only(words))),
            "failfast_all_unhealthy_upstreams": alone("failfast"),
            "next": lambda words: say(
                next_rcodes=frozenset(word.text.upper() for word in counted(words, 1))
            ),
        },
        unbuilt=_UNBUILT,
    )
    return found


def _upstream(word: Token) -> To | str:
    text = word.text
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme != "dns":
            raise CorefileError(word, f"{scheme} is not built here", "write the address alone")
        text = rest
    if text.startswith("/"):
        return text
    host, port = text, "53"
    if text.startswith("["):
        host, _, behind = text[1:].partition("]")
        port = behind.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError(f"{port!r} is no port")
        return str(ip_address(host)), int(port)
    except ValueError as error:
        hint = "write an address like 10.0.0.1 or 10.0.0.1:53, or a file like /etc/resolv.conf"
        raise CorefileError(word, f"{word} is no server: {error}", hint) from None


def make(settings: Settings, block: Block) -> Made:
    """Raises OSError for a file that cannot be read, ValueError where nobody is left to be asked."""
    upstreams = tuple(dict.fromkeys(_all_upstreams(settings, block)))
    if not upstreams:
        raise ValueError(f"plugin/forward: no nameserver in {settings.to[0]}")
    forward = Forward(settings, block, tuple(Upstream(to) for to in upstreams))
    return Made(forward, forward.close)


def _all_upstreams(settings: Settings, block: Block) -> Iterator[To]:
    for one in settings.to:
        if isinstance(one, str):
            text = block.around.read(one)
            if any(line.split()[:1] == ["nameserver"] for line in text.splitlines()):
                yield from ((server, 53) for server in parse_resolv_conf(text).nameservers)
        else:
            yield one


@dataclass(slots=True, eq=False)
class Upstream:
    """Another server, and how many of its health checks in a row have failed."""

    to: To
    fails: int = 0
    checked: bool = False
    """Whether it is being checked: from its first failure until it answers again."""

    def __str__(self) -> str:
        return host_port(*self.to)


@dataclass(slots=True)
class Forward:
    """Asks one upstream after the other until one answers, or the time is over."""

    settings: Settings
    block: Block
    upstreams: tuple[Upstream, ...]
    name: str = "forward"
    waiting: int = 0
    _turn: int = 0
    _checks: dict[Upstream, Callable[[], None]] = field(default_factory=dict)

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        name = normal(query.question.name)
        if longest_zone(name, (self.settings.zone,)) is None or (
            longest_zone(name, self.settings.excepted) is not None
        ):
            next(query, respond)
            return
        if self.settings.max_concurrent and self.waiting >= self.settings.max_concurrent:
            self.block.around.metrics.count("coredns_forward_max_concurrent_rejects_total")
            most = self.settings.max_concurrent
            self.block.fail(query, f"concurrent queries exceeded maximum {most}")
            respond(Reply(REFUSED, authoritative=False))
            return
        try:
            packet = _packet(query)
        except WireError as error:  # a name that a rule has made
            self.block.fail(query, str(error))
            respond(Reply(SERVFAIL, authoritative=False))
            return
        self.waiting += 1
        started_s = self.block.around.loop.now_s()
        _Attempts(self, query, packet, respond, next, self.ordered(), started_s).go_on()

    def ordered(self) -> tuple[Upstream, ...]:
        """The upstreams in the order in which one query tries them."""
        count = len(self.upstreams)
        if self.settings.policy == "sequential" or count == 1:
            return self.upstreams
        if self.settings.policy == "round_robin":
            start, self._turn = self._turn, (self._turn + 1) % count
            return self.upstreams[start:] + self.upstreams[:start]
        rest, shuffled = list(self.upstreams), []
        while rest:
            shuffled.append(rest.pop(self.block.around.below(len(rest))))
        return tuple(shuffled)

    def is_down(self, upstream: Upstream) -> bool:
        return bool(self.settings.max_fails) and upstream.fails > self.settings.max_fails

    def check(self, upstream: Upstream) -> None:
        """See whether it is well, until it is."""
        if upstream.checked or not self.settings.max_fails:
            return
        upstream.checked = True
        self._check_again(upstream)

    def close(self) -> None:
        """Check no more."""
        for cancel in self._checks.values():
            cancel()

    def _check_again(self, upstream: Upstream) -> None:
        around, settings = self.block.around, self.settings

        def checked(found: Response | str) -> None:
            if isinstance(found, str):
                upstream.fails += 1
                labels = ("forward", str(upstream))
                around.metrics.count("coredns_proxy_healthcheck_failures_total", labels)
                self._checks[upstream] = around.loop.later(
                    settings.check_s, lambda: self._check_again(upstream)
                )
            else:
                upstream.fails, upstream.checked = 0, False
                self._checks.pop(upstream, None)

        packet = encode_query(
            around.below(1 << 16), settings.check_name, NS, settings.check_recursive
        )
        errand = Errand(upstream.to, packet, settings.force_tcp, _CHECK_TIMEOUT_S, checked)
        around.dial.ask(errand)


@dataclass(slots=True)
class _Attempts:
    """What becomes of one query."""

    forward: Forward
    query: Query
    packet: bytes
    """Without an id."""
    respond: Respond
    next: Serve
    order: tuple[Upstream, ...]
    started_s: float
    asked: int = 0
    why: str = "no healthy proxies"

    def go_on(self) -> None:
        """Ask the next upstream that is well; any, where none is."""
        forward, around = self.forward, self.forward.block.around
        if around.loop.now_s() - self.started_s >= DEADLINE_S:
            self._fail()
            return
        upstream: Upstream | None = None
        for step in range(len(self.order)):
            candidate = self.order[(self.asked + step) % len(self.order)]
            if not forward.is_down(candidate):
                upstream, self.asked = candidate, self.asked + step + 1
                break
        if upstream is None:
            around.metrics.count("coredns_forward_healthcheck_broken_total")
            if forward.settings.failfast:
                self._fail()
                return
            upstream = self.order[around.below(len(self.order))]
        settings = forward.settings
        tcp = settings.force_tcp or (self.query.tcp and not settings.prefer_udp)
        self._ask(upstream, tcp=tcp)

    def _ask(self, upstream: Upstream, *, tcp: bool) -> None:
        around, sent_s = self.forward.block.around, self.forward.block.around.loop.now_s()

        def done(found: Response | str) -> None:
            if isinstance(found, str):
                to = f"{'tcp' if tcp else 'udp'} {upstream}"
                self.why = f"{to}: {found}"
                self.forward.check(upstream)
                # A refusal comes at once: the next round waits, so that a dead upstream costs no loop.
                pause_s = 0.0 if self.asked % len(self.order) else 0.1
                around.loop.later(pause_s, self.go_on)
            elif found.truncated and not tcp:
                self._ask(upstream, tcp=True)
            else:
                labels = ("forward", str(upstream), rcode_text(found.rcode))
                took_s = around.loop.now_s() - sent_s
                around.metrics.observe("coredns_proxy_request_duration_seconds", labels, took_s)
                self._answered(found)

        packet = around.below(1 << 16).to_bytes(2, "big") + self.packet
        timeout_s = min(TIMEOUT_S, max(DEADLINE_S - (sent_s - self.started_s), 0.01))
        keep_s = self.forward.settings.expire_s
        around.dial.ask(Errand(upstream.to, packet, tcp, timeout_s, done, keep_s))

    def _answered(self, found: Response) -> None:
        self.forward.waiting -= 1
        if rcode_text(found.rcode) in self.forward.settings.next_rcodes:
            self.next(self.query, self.respond)
            return
        self.respond(
            Reply(
                found.rcode,
                found.answers,
                found.authority,
                authoritative=False,
                recursion_available=True,
            )
        )

    def _fail(self) -> None:
        self.forward.waiting -= 1
        self.forward.block.fail(self.query, self.why)
        self.respond(Reply(SERVFAIL, authoritative=False))


def _packet(query: Query) -> bytes:
    """The client's question, with its EDNS0, without an id. Raises WireError for a name that is none."""
    question = query.question
    packet = bytearray(encode_query(0, question.name, question.type, query.recursion_desired))
    if query.udp_size is not None:
        packet[11] = 1  # the number of additional records
        packet += b"\0" + struct.pack("!HHIH", OPT, query.udp_size, query.dnssec_ok << 15, 0)
    return bytes(packet[2:])
