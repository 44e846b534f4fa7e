"""What the plug-in `cache` keeps, for how long, and what it says meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed.dns.surroundings import Errand
from testbed.dns.wire import NOERROR, NXDOMAIN, REFUSED, SERVFAIL, SOA, Question, Record, Response
from tests.unit.dns.surrounded import Said, World, asked, response, said

FORWARD = "forward . 192.0.2.1"
Upstream = Callable[[Errand, Question], Said]


def answering(ttl: int = 60, **more: int) -> Upstream:
    return lambda errand, question: response(question, "192.0.2.7", ttl=ttl, **more)


def denying(rcode: int, minimum: int = 20, ttl: int = 300) -> Upstream:
    soa = Record("test", SOA, ttl, f"ns.test. mail.test. 1 2 3 4 {minimum}")
    return lambda errand, question: Response(0, rcode, False, (), (soa,), question)


@pytest.mark.parametrize(
    ("lines", "upstream", "kept_s"),
    [
        ("cache", answering(ttl=60), 60),
        ("cache 30", answering(ttl=60), 30),
        ("cache", answering(ttl=1), 5),
        ("cache {\n success 10 100 0\n}", answering(ttl=1), 1),
        ("cache {\n success 10 3600 90\n}", answering(ttl=60), 90),
        ("cache", answering(ttl=86400), 3600),
        ("cache", denying(NXDOMAIN), 20),
        ("cache", denying(NOERROR), 20),
        ("cache 10", denying(NXDOMAIN), 10),
        ("cache", denying(NXDOMAIN, minimum=9000, ttl=9000), 1800),
        ("cache", answering(rcode=SERVFAIL), 5),
        ("cache {\n servfail 9s\n}", answering(rcode=SERVFAIL), 9),
        ("cache", answering(rcode=REFUSED), 0),
        ("cache 30 {\n disable success test\n}", answering(), 0),
        ("cache 30 {\n disable denial test\n}", answering(), 30),
        ("cache 30 {\n disable denial\n}", denying(NXDOMAIN), 0),
        ("cache 30 example.org", answering(), 0),
    ],
)
def test_how_long_an_answer_is_kept(lines: str, upstream: Upstream, kept_s: int) -> None:
    world = World(upstream=upstream)
    chain = world.chain(lines, FORWARD)
    asked(chain, "a.test")
    world.pass_s(0)
    world.pass_s(max(kept_s - 0.5, 0))
    asked(chain, "A.TEST")
    assert len(world.errands) == (1 if kept_s else 2)
    world.pass_s(1)
    asked(chain, "a.test")
    assert len(world.errands) == (2 if kept_s else 3)


def test_the_ttl_counts_down_and_names_are_as_they_are_asked_for() -> None:
    world = World(upstream=answering(ttl=60))
    chain = world.chain("cache", FORWARD)
    first = asked(chain, "a.test")
    world.pass_s(0)
    assert said(first) == ["NOERROR", "a.test 60 A 192.0.2.7"]
    world.pass_s(20)
    assert said(asked(chain, "A.test")) == ["NOERROR", "A.test 40 A 192.0.2.7"]


def test_keepttl() -> None:
    world = World(upstream=answering(ttl=60))
    chain = world.chain("cache {\n keepttl\n}", FORWARD)
    asked(chain, "a.test")
    world.pass_s(20)
    assert said(asked(chain, "a.test")) == ["NOERROR", "a.test 60 A 192.0.2.7"]


def test_types_and_the_do_bit_are_kept_apart() -> None:
    world = World(upstream=lambda errand, question: response(question))
    chain = world.chain("cache", FORWARD)
    for rtype, dnssec_ok in (("A", False), ("AAAA", False), ("A", True), ("A", False)):
        asked(chain, "a.test", rtype, dnssec_ok=dnssec_ok)
        world.pass_s(0)
    assert len(world.errands) == 3


def test_a_full_cache_makes_room() -> None:
    world = World(upstream=answering())
    chain = world.chain("cache {\n success 2\n}", FORWARD)
    for name in ("a.test", "b.test", "c.test", "c.test", "b.test", "a.test"):
        asked(chain, name)
        world.pass_s(0)
    assert [question.name for _, _, question in world.errands] == [
        "a.test", "b.test", "c.test", "a.test",
    ]  # fmt: skip
    labels = ("dns://:53", "success", ".", "")
    assert world.metrics.value("coredns_cache_evictions_total", labels) == 2
    assert world.metrics.value("coredns_cache_hits_total", labels) == 2


def test_prefetch_asks_again_before_the_end() -> None:
    world = World(upstream=answering(ttl=100))
    chain = world.chain("cache {\n prefetch 2 1m 20%\n}", FORWARD)
    for _ in range(3):
        asked(chain, "a.test")
        world.pass_s(25)
    assert len(world.errands) == 1
    world.pass_s(15)  # ten seconds are left
    asked(chain, "a.test")
    world.pass_s(0)
    assert len(world.errands) == 2
    world.pass_s(50)
    assert said(asked(chain, "a.test"))[0] == "NOERROR"
    assert len(world.errands) == 2


@pytest.mark.parametrize("mode", ["immediate", "verify"])
def test_a_stale_answer_is_better_than_none(mode: str) -> None:
    """`immediate` gives it at once, `verify` when the upstream has failed."""
    world = World(upstream=answering(ttl=10))
    chain = world.chain(f"cache {{\n serve_stale 1h {mode}\n}}", FORWARD)
    asked(chain, "a.test")
    world.pass_s(11)
    world.upstream = lambda errand, question: response(question, rcode=SERVFAIL)
    replies = asked(chain, "a.test")
    if mode == "verify":
        assert replies == []
    world.pass_s(0)
    assert said(replies) == ["NOERROR", "a.test 0 A 192.0.2.7"]
    assert len(world.errands) == 2
    world.pass_s(3601)
    late = asked(chain, "a.test")
    world.pass_s(0)
    assert said(late) == ["SERVFAIL"]


def test_a_refreshed_stale_answer_is_fresh() -> None:
    world = World(upstream=answering(ttl=10))
    chain = world.chain("cache {\n serve_stale\n}", FORWARD)
    asked(chain, "a.test")
    world.pass_s(30)
    assert said(asked(chain, "a.test")) == ["NOERROR", "a.test 0 A 192.0.2.7"]
    world.pass_s(0)
    assert said(asked(chain, "a.test")) == ["NOERROR", "a.test 10 A 192.0.2.7"]
