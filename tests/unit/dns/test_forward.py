"""Whom the plug-in `forward` asks, and what it says when they do not answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.dns.surroundings import Errand
from testbed.dns.wire import NXDOMAIN, Question
from tests.unit.dns.surrounded import Said, World, asked, response, said

ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def only(*alive: str):  # type: ignore[no-untyped-def]
    """These answer; the others refuse."""

    def upstream(errand: Errand, question: Question) -> Said:
        return response(question, "10.9.9.9") if errand.to[0] in alive else "connection refused"

    return upstream


def told(world: World) -> list[str]:
    return [to for to, _, question in world.errands if question.name]


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("sequential", [ONE, ONE, ONE]),
        ("round_robin", [ONE, TWO, THREE]),
        ("random", [ONE, ONE, ONE]),  # the world's chance always takes the first
    ],
)
def test_policies(policy: str, order: list[str]) -> None:
    world = World(upstream=only(ONE, TWO, THREE))
    chain = world.chain(f"forward . {ONE} {TWO} {THREE} {{\n policy {policy}\n}}")
    for _ in order:
        asked(chain, "a.test")
    assert told(world) == order


def test_who_does_not_answer_is_left_for_the_next_one() -> None:
    world = World(upstream=only(TWO))
    chain = world.chain("errors", f"forward . {ONE} {TWO} {{\n policy sequential\n}}")
    replies = asked(chain, "a.test")
    world.pass_s(0)
    assert said(replies) == ["NOERROR", "a.test 60 A 10.9.9.9"]
    assert told(world) == [ONE, TWO]
    assert world.log == []


def test_a_silent_upstream_costs_its_timeout() -> None:
    world = World(
        upstream=lambda errand, question: response(question) if errand.to[0] == TWO else None
    )
    chain = world.chain(f"forward . {ONE} {TWO} {{\n policy sequential\n}}")
    replies = asked(chain, "a.test")
    world.pass_s(1.9)
    assert replies == []
    world.pass_s(0.2)
    assert said(replies) == ["NOERROR"]


def test_nobody_answers() -> None:
    world = World(upstream=only())
    chain = world.chain("errors", f"forward . {ONE} {TWO} {{\n policy sequential\n}}")
    replies = asked(chain, "a.test")
    world.pass_s(4.9)
    assert replies == []
    world.pass_s(1)
    assert said(replies) == ["SERVFAIL"]
    (line,) = world.log
    assert line.startswith("[ERROR] plugin/errors: 2 a.test. A: udp 192.0.2.")
    assert line.endswith(": connection refused")


def test_who_fails_its_checks_is_not_asked_until_it_is_well() -> None:
    world = World(upstream=only(TWO))
    chain = world.chain(f"forward . {ONE} {TWO} {{\n policy sequential\n max_fails 2\n}}")
    asked(chain, "a.test")
    world.pass_s(3)
    world.errands.clear()
    asked(chain, "b.test")
    world.pass_s(0)
    assert told(world) == [TWO]
    labels = ("forward", f"{ONE}:53")
    assert world.metrics.value("coredns_proxy_healthcheck_failures_total", labels) > 2
    world.upstream = only(ONE, TWO)
    world.pass_s(1)
    world.errands.clear()
    asked(chain, "c.test")
    assert told(world) == [ONE]


def test_while_nobody_is_well_somebody_is_asked_unless_failfast() -> None:
    for option, rcode in (("", "NOERROR"), ("failfast_all_unhealthy_upstreams", "SERVFAIL")):
        world = World(upstream=only())
        chain = world.chain(f"forward . {ONE} {{\n{option}\n}}")
        asked(chain, "a.test")
        world.pass_s(8)
        world.upstream = lambda errand, question: (
            response(question) if question.name else "connection refused"
        )
        replies = asked(chain, "b.test")
        world.pass_s(0)
        assert said(replies)[0] == rcode


@pytest.mark.parametrize(
    ("options", "asks_by_tcp", "over_tcp"),
    [("", False, False), ("", True, True), ("force_tcp", False, True), ("prefer_udp", True, False)],
)
def test_over_what_an_upstream_is_asked(options: str, asks_by_tcp: bool, over_tcp: bool) -> None:
    world = World(upstream=only(ONE))
    asked(world.chain(f"forward . {ONE} {{\n{options}\n}}"), "a.test", tcp=asks_by_tcp)
    assert [tcp for _, tcp, _ in world.errands] == [over_tcp]


def test_a_truncated_answer_is_fetched_whole() -> None:
    world = World(
        upstream=lambda errand, question: replace(
            response(question, "10.9.9.9"), truncated=not errand.tcp
        )
    )
    replies = asked(world.chain(f"forward . {ONE}"), "a.test")
    world.pass_s(0)
    assert said(replies) == ["NOERROR", "a.test 60 A 10.9.9.9"]
    assert [tcp for _, tcp, _ in world.errands] == [False, True]


def test_names_that_are_excepted_and_other_zones_are_not_asked_for() -> None:
    world = World(upstream=only(ONE))
    chain = world.chain(f"forward test {ONE} {{\n except secret.test\n}}")
    for name in ("a.secret.test", "a.example"):
        assert said(asked(chain, name)) == ["REFUSED"]
    assert world.errands == []


def test_too_many_at_once_are_refused() -> None:
    world = World(upstream=lambda errand, question: None)
    chain = world.chain(f"forward . {ONE} {{\n max_concurrent 2\n}}")
    waiting = [asked(chain, name) for name in ("a.test", "b.test")]
    assert waiting == [[], []]
    assert said(asked(chain, "c.test")) == ["REFUSED"]
    assert world.metrics.value("coredns_forward_max_concurrent_rejects_total") == 1


def test_a_name_that_a_rule_spoils_fails_and_holds_no_place() -> None:
    world = World(upstream=lambda errand, question: response(question, "10.0.0.1"))
    forward = "forward . 192.0.2.1 {\n max_concurrent 1\n}"
    chain = world.chain("errors", "rewrite name suffix .bad. ..bad.", forward)
    assert said(asked(chain, "a.bad")) == ["SERVFAIL"]
    assert "plugin/errors: 2 a..bad." in world.log[0]
    replies = asked(chain, "a.good")
    world.pass_s(0.1)
    assert said(replies)[0] == "NOERROR"


def test_an_rcode_may_lead_on_to_the_next() -> None:
    world = World(
        upstream=lambda errand, question: (
            response(question, rcode=NXDOMAIN)
            if errand.to[0] == ONE
            else response(question, "10.9.9.9")
        )
    )
    chain = world.chain(f"forward . {ONE} {{\n next NXDOMAIN\n}}", f"forward . {TWO}")
    replies = asked(chain, "a.test")
    world.pass_s(0)
    assert said(replies) == ["NOERROR", "a.test 60 A 10.9.9.9"]


def test_upstreams_out_of_a_resolv_conf() -> None:
    world = World(files={"/etc/resolv.conf": f"nameserver {TWO}\n"}, upstream=only(TWO))
    asked(world.chain("forward . /etc/resolv.conf"), "a.test")
    assert told(world) == [TWO]
    with pytest.raises(ValueError, match=r"no nameserver in /etc/resolv\.conf"):
        World(files={"/etc/resolv.conf": "# none\n"}).chain("forward . /etc/resolv.conf")
