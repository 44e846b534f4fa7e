"""`cache [TTL] [ZONES…] { … }`: keeps answers for as long as their TTL allows.

Source: plugin/cache/README.md, cache.go and item.go of CoreDNS. Which answer makes room for another is its own
choice: CoreDNS's is random, here it is the one that was stored first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import (
    Words,
    counted,
    duration,
    longest_zone,
    one_of,
    options,
    whole,
    zones,
)
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import NOERROR, NOTIMP, NXDOMAIN, SERVFAIL, SOA, Record
from testbed.dns.zone_options import normal

SUCCESS, DENIAL = "success", "denial"
_CAPACITY = 9984
_LEAST_TTL_S = 5.0
_MOST_TTL_S = {SUCCESS: 3600.0, DENIAL: 1800.0}
_FAILURE_S, _MOST_FAILURE_S = 5.0, 300.0
_PREFETCH_GAP_S, _PREFETCH_SHARE = 60.0, 10
_STALE_S = 3600.0

Key = tuple[str, int, int, bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one kind of answers: how many, and for how long."""

    capacity: int
    most_s: float
    least_s: float = _LEAST_TTL_S
    off: tuple[str, ...] = ()
    """Zones whose answers of the kind are not kept."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults are CoreDNS's; `prefetch` 0: never."""

    zones: tuple[str, ...]
    success: Limits = Limits(_CAPACITY, _MOST_TTL_S[SUCCESS])
    denial: Limits = Limits(_CAPACITY, _MOST_TTL_S[DENIAL])
    failure_s: float = _FAILURE_S
    prefetch: int = 0
    prefetch_gap_s: float = _PREFETCH_GAP_S
    prefetch_share: int = _PREFETCH_SHARE
    stale_s: float = 0.0
    verify: bool = False
    keep_ttl: bool = False


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    words = list(directive.arguments)
    most_s = dict(_MOST_TTL_S)
    if words and words[0].text.isdecimal():
        ttl = float(whole(words.pop(0), 1))
        most_s = {SUCCESS: ttl, DENIAL: ttl}
    found = Settings(
        zones(words, block_zones),
        Limits(_CAPACITY, most_s[SUCCESS]),
        Limits(_CAPACITY, most_s[DENIAL]),
    )

    def say(**changes: object) -> None:
        nonlocal found
        found = replace(found, **changes)  # type: ignore[arg-type]

    def limits(words: Words) -> None:
        kind = words[0].text
        old: Limits = getattr(found, kind)
        capacity, *times = counted(words, 1, 3)
        most = whole(times[0], 1) if times else old.most_s
        least = whole(times[1]) if len(times) > 1 else old.least_s
        say(**{kind: replace(old, capacity=whole(capacity, 1), most_s=most, least_s=least)})

    def disable(words: Words) -> None:
        kind = one_of(counted(words, 1)[0], (SUCCESS, DENIAL))
        old: Limits = getattr(found, kind)
        say(**{kind: replace(old, off=zones(words[2:], found.zones))})

    def serve_stale(words: Words) -> None:
        more = counted(words, 0, 2)
        say(stale_s=duration(more[0], 1e-9) if more else _STALE_S)
        if len(more) > 1:
            say(verify=one_of(more[1], ("immediate", "verify")) == "verify")

    def keep_ttl(words: Words) -> None:
        counted(words, 0, 0)
        say(keep_ttl=True)

    options(
        directive,
        {
            SUCCESS: limits,
            DENIAL: limits,
            "servfail": lambda words: say(
                failure_s=duration(counted(words, 1, 1)[0], 0.0, _MOST_FAILURE_S)
            ),
            "prefetch": lambda words: say(**_prefetch(words)),
            "serve_stale": serve_stale,
            "disable": disable,
            "keepttl": keep_ttl,
        },
    )
    return found


def _prefetch(words: Words) -> dict[str, float]:
    amount, *more = counted(words, 1, 3)
    found: dict[str, float] = {"prefetch": whole(amount)}
    if more:
        found["prefetch_gap_s"] = duration(more[0])
    if len(more) > 1:
        share = more[1].text.removesuffix("%")
        if not more[1].text.endswith("%") or not share.isdecimal() or not 10 <= int(share) <= 90:
            raise CorefileError(more[1], f"{more[1]} is no share from 10% to 90%")
        found["prefetch_share"] = int(share)
    return found


def make(settings: Settings, block: Block) -> Made:
    """Its size is told until it is closed."""
    cache = Cache(settings, block)
    before = block.around.metrics.before
    before[cache] = cache.show_sizes

    def close() -> None:
        del before[cache]

    return Made(cache, close)


@dataclass(slots=True)
class Item:
    """A kept answer. `hits` are those without a longer gap than prefetching allows."""

    reply: Reply
    name: str
    """The question's, in the case that it was asked in."""
    stored_s: float
    ttl_s: float
    hits: int = 0
    last_hit_s: float = 0.0
    refreshing: bool = False

    def left_s(self, now_s: float) -> float:
        return self.stored_s + self.ttl_s - now_s


@dataclass(slots=True, eq=False)
class Cache:
    """Success and denial apart, as what many wrong names ask must not drive right ones out."""

    settings: Settings
    block: Block
    name: str = "cache"
    _items: dict[str, dict[Key, Item]] = field(default_factory=lambda: {SUCCESS: {}, DENIAL: {}})
    _where: tuple[str, str] = field(init=False)
    """(zones, view), as metrics name them."""

    def __post_init__(self) -> None:
        self._where = ",".join(f"{zone}." for zone in self.settings.zones), ""

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        question = query.question
        if longest_zone(normal(question.name), self.settings.zones) is None:
            next(query, respond)
            return
        now_s = self.block.around.loop.now_s()
        key = normal(question.name), question.type, question.class_, query.dnssec_ok
        self._count("requests")
        kind, item = self._found(key, now_s)
        if item is None:
            self._count("misses")
            next(query, lambda reply: respond(self._stored(key, query, reply)))
        elif item.left_s(now_s) > 0:
            self._hit(kind)
            respond(self._reply(item, query, now_s))
            self._refresh_before_it_ends(key, item, query, next)
        elif self.settings.verify:
            self._verified(key, item, query, respond, next)
        else:
            self._hit(kind)
            self._count("served_stale")
            respond(self._reply(item, query, now_s))
            self._refresh(key, item, query, next)

    def show_sizes(self) -> None:
        """For the metrics: how many answers there are."""
        for kind, items in self._items.items():
            labels = (self.block.server, kind, *self._where)
            self.block.around.metrics.set("coredns_cache_entries", labels, len(items))

    def _found(self, key: Key, now_s: float) -> tuple[str, Item | None]:
        """What is kept, and not too stale; the kind that it is of."""
        for kind, items in self._items.items():
            item = items.get(key)
            if item is not None and item.left_s(now_s) > -self.settings.stale_s:
                return kind, item
        return "", None

    def _stored(self, key: Key, query: Query, reply: Reply) -> Reply:
        """Keep a reply if it may be kept; returns it as it is to be given now."""
        kind, ttl_s = self._lifetime(query, reply)
        if not ttl_s:
            return reply
        items = self._items[kind]
        self._items[DENIAL if kind == SUCCESS else SUCCESS].pop(key, None)
        items.pop(key, None)
        limits: Limits = getattr(self.settings, kind)
        if len(items) >= limits.capacity:
            del items[next(iter(items))]
            self._count("evictions", kind)
        now_s = self.block.around.loop.now_s()
        item = items[key] = Item(reply, query.question.name, now_s, ttl_s)
        return replace(self._reply(item, query, now_s), authoritative=reply.authoritative)

    def _lifetime(self, query: Query, reply: Reply) -> tuple[str, float]:
        """The kind of a reply, and how long it is kept: 0 for one that is not."""
        kind = _kind(reply)
        if not kind:
            return "", 0.0
        limits: Limits = getattr(self.settings, kind)
        if limits.off and longest_zone(normal(query.question.name), limits.off) is not None:
            return kind, 0.0
        if reply.rcode in (SERVFAIL, NOTIMP):
            return kind, self.settings.failure_s
        records = (*reply.answers, *reply.authority)
        told_s = min(map(_ttl_s, records), default=limits.least_s)
        return kind, max(limits.least_s, min(told_s, limits.most_s))

    def _reply(self, item: Item, query: Query, now_s: float) -> Reply:
        """As it is given now: what is left of its TTL, the names in the case of who asks.

        Authoritative: some clients do not take answers that are not (CoreDNS).
        """
        ttl_s = max(0, int(item.left_s(now_s)))
        told, asked = normal(item.name), query.question.name

        def spelled(record: Record) -> Record:
            name = asked if normal(record.name) == told else record.name
            return replace(record, name=name, ttl=record.ttl if self.settings.keep_ttl else ttl_s)

        reply = item.reply
        return replace(
            reply,
            answers=tuple(map(spelled, reply.answers)),
            authority=tuple(map(spelled, reply.authority)),
            additional=tuple(map(spelled, reply.additional)),
            authoritative=True,
            depends=None,
            counted=None,
        )

    def _refresh_before_it_ends(self, key: Key, item: Item, query: Query, next: Serve) -> None:
        """A name that is asked for often is fetched again while it is still known."""
        if not self.settings.prefetch:
            return
        now_s = self.block.around.loop.now_s()
        in_time = now_s - item.last_hit_s < self.settings.prefetch_gap_s
        item.hits, item.last_hit_s = item.hits + 1 if in_time else 1, now_s
        few_left = item.left_s(now_s) <= item.ttl_s * self.settings.prefetch_share / 100
        if item.hits >= self.settings.prefetch and few_left and not item.refreshing:
            self._count("prefetch")
            self._refresh(key, item, query, next)

    def _refresh(self, key: Key, item: Item, query: Query, next: Serve) -> None:
        if item.refreshing:
            return
        item.refreshing = True

        def take(reply: Reply) -> None:
            item.refreshing = False
            if reply.rcode != SERVFAIL:  # what is known, if stale, is better than a failure
                self._stored(key, query, reply)

        next(query, take)

    def _verified(self, key: Key, item: Item, query: Query, respond: Respond, next: Serve) -> None:
        """Ask first, and give the stale answer where that fails."""

        def take(reply: Reply) -> None:
            if reply.rcode != SERVFAIL:
                respond(self._stored(key, query, reply))
                return
            self._count("served_stale")
            respond(self._reply(item, query, self.block.around.loop.now_s()))

        next(query, take)

    def _hit(self, kind: str) -> None:
        self._count("hits", kind)

    def _count(self, what: str, kind: str = "") -> None:
        labels = (self.block.server, kind) if kind else (self.block.server,)
        self.block.around.metrics.count(f"coredns_cache_{what}_total", (*labels, *self._where))


def _kind(reply: Reply) -> str:
    """SUCCESS, DENIAL, or "" for neither."""
    if reply.rcode in (SERVFAIL, NOTIMP):
        return DENIAL
    denies = any(one.type == SOA for one in reply.authority)
    if reply.rcode == NOERROR and (reply.answers or not denies):
        return SUCCESS
    return DENIAL if denies and reply.rcode in (NOERROR, NXDOMAIN) else ""


def _ttl_s(record: Record) -> float:
    """Of a denial's SOA, its minimum counts too (RFC 2308, section 5)."""
    if record.type == SOA:
        return min(record.ttl, int(record.data.rsplit(" ", 1)[1]))
    return record.ttl
