"""What C libraries ask, from which sockets, and how long they wait: played without sockets or clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import dns.message
import dns.rcode
import dns.rrset
import pytest

from testbed.dns.libc import AGAIN, LIBRARIES, NO_ADDRESS, NO_SUCH_NAME, OK, Came, LookedUp, Sending
from testbed.dns.search import ResolvConf
from testbed.dns.wire import (
    AAAA,
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    A,
    WireError,
)

WEB = "web.default.svc.cluster.local"
SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
ONE, TWO = ("10.96.0.10",), ("10.244.1.2", "10.244.2.2")
POD = ResolvConf(ONE, SEARCH, ndots=5)
ADDRESS = "10.96.1.1"
REFUSED, SILENT, EMPTY = -1, -2, -3
World = Callable[[str, int, Sending], int]
"""rcode by name, type and how it was sent; EMPTY: the name is there, without an address."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a look-up: how long it took, and every query as (name, type, socket, server)."""

    result: LookedUp
    took_s: float
    asked: tuple[tuple[str, int, int, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, *_ in self.asked))

    @property
    def sockets(self) -> list[int]:
        return [socket for _, _, socket, _ in self.asked]


def answer_to(packet: bytes, rcode: int, *addresses: str) -> bytes:
    """As another implementation says it."""
    query = dns.message.from_wire(packet)
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(rcode))
    if addresses:
        name = query.question[0].name
        response.answer.append(dns.rrset.from_text(name, 5, "IN", "A", *addresses))
    return response.to_wire()


def play(library: str, name: str, conf: ResolvConf, world: World) -> Played:
    """Answers come at once, in order; silence lasts until the library waits no longer."""
    numbers = count(1)
    steps = LIBRARIES[library](name, conf, lambda: next(numbers), 0.0)
    now_s, inbox, asked = 0.0, [], []
    step = next(steps)
    while True:
        for sending in step.sendings:
            question = dns.message.from_wire(sending.packet).question[0]
            name, rtype = question.name.to_text(omit_final_dot=True), int(question.rdtype)
            asked.append((name, rtype, sending.socket, sending.server))
            rcode = world(name, rtype, sending)
            if rcode == REFUSED:
                inbox += [Came(now_s, refused=True)] * sending.connected
            elif rcode != SILENT:
                found = (ADDRESS,) if rcode == NOERROR and rtype == A else ()
                inbox.append(Came(now_s, answer_to(sending.packet, max(rcode, NOERROR), *found)))
        if not inbox:
            now_s = step.until_s
            inbox.append(Came(now_s))
        try:
            step = steps.send(inbox.pop(0))
        except StopIteration as ended:
            return Played(ended.value, now_s, tuple(asked))


def exists(name: str, _type: int, _how: Sending) -> int:
    return NOERROR if name in (WEB, "www.example.test") else NXDOMAIN


@pytest.mark.parametrize(
    ("library", "name", "ndots", "queries", "rounds"),
    [
        ("glibc", "web", 5, 2, 1),
        ("glibc", "web.default", 5, 4, 2),
        ("glibc", "web.default.svc", 5, 6, 3),
        ("glibc", WEB, 5, 8, 4),
        ("glibc", f"{WEB}.", 5, 2, 1),
        ("glibc", WEB, 4, 2, 1),
        ("glibc", "web.default", 1, 6, 3),
        ("glibc", "www.example.test", 5, 8, 4),
        ("glibc", "www.example.test", 2, 2, 1),
        ("glibc/single-request", "www.example.test", 5, 8, 8),
        ("musl", "web", 1, 2, 1),
        ("musl", "www.example.test", 5, 8, 4),
        ("musl", "www.example.test", 1, 2, 1),
    ],
)
def test_names_take_as_many_queries_as_the_search_list_asks(
    library: str, name: str, ndots: int, queries: int, rounds: int
) -> None:
    conf = ResolvConf(ONE, SEARCH, ndots=ndots)
    played = play(library, name, conf, exists)
    assert played.result == LookedUp(OK, (ADDRESS,), queries, rounds)
    assert played.took_s == 0


def test_musl_does_not_search_for_a_name_with_enough_dots() -> None:
    played = play("musl", "web.default", ResolvConf(ONE, SEARCH, ndots=1), exists)
    assert (played.result.outcome, played.names) == (NO_SUCH_NAME, ("web.default",))


@pytest.mark.parametrize(("library", "after_s", "queries"), [("glibc", 10.0, 4), ("musl", 5.0, 4)])
def test_a_silent_server_is_waited_for_on_the_same_socket(
    library: str, after_s: float, queries: int
) -> None:
    played = play(library, "web", POD, lambda *_: SILENT)
    assert (played.result.outcome, played.took_s, played.result.sent) == (AGAIN, after_s, queries)
    assert set(played.sockets) == {1}
    assert played.names == (WEB,)


def test_glibc_asks_again_from_a_new_socket_where_an_icmp_error_came_and_gives_up_at_once() -> None:
    played = play("glibc", "web", POD, lambda *_: REFUSED)
    assert (played.result.outcome, played.took_s) == (AGAIN, 0)
    assert played.sockets == [1, 1, 2, 2]


def test_musl_hears_no_icmp_error() -> None:
    played = play("musl", "web", POD, lambda *_: REFUSED)
    assert (played.result.outcome, played.took_s) == (AGAIN, 5.0)


def test_glibc_goes_on_to_the_next_server_which_is_waited_for_longer() -> None:
    conf = ResolvConf((*TWO, "10.0.0.3"), SEARCH, ndots=5, timeout_s=5, attempts=1)
    played = play("glibc", "web", conf, lambda *_: SILENT)
    assert played.took_s == 5 + 10 // 3 + 20 // 3
    one_answers = play(
        "glibc", "web", conf, lambda name, _, how: SILENT if how.server == TWO[0] else NOERROR
    )
    assert (one_answers.result.outcome, one_answers.took_s) == (OK, 5.0)


def test_musl_asks_all_servers_at_once() -> None:
    conf = ResolvConf(TWO, SEARCH, ndots=5)
    played = play(
        "musl", "web", conf, lambda name, _, how: SILENT if how.server == TWO[0] else NOERROR
    )
    assert (played.result.outcome, played.took_s, played.result.sent) == (OK, 0, 4)


def test_rotate_begins_with_another_server_for_each_name() -> None:
    conf = ResolvConf(TWO, SEARCH, ndots=5)
    played = play("glibc/rotate", "www.example.test", conf, exists)
    servers = [server for _, rtype, _, server in played.asked if rtype == A]
    assert servers == [TWO[1], TWO[0]] * 2


def test_glibc_asks_one_by_one_where_one_of_two_is_not_answered() -> None:
    def second_is_lost(_name: str, rtype: int, how: Sending) -> int:
        seen.append(rtype)
        return SILENT if rtype == AAAA and len(seen) <= 2 else NOERROR

    seen: list[int] = []
    played = play("glibc", "web", POD, second_is_lost)
    assert (played.result.outcome, played.took_s, seen) == (OK, 5.0, [A, AAAA, A, AAAA])


def test_single_request_reopen_takes_a_socket_for_each_query() -> None:
    played = play("glibc/single-request-reopen", "web", POD, exists)
    assert played.sockets == [1, 2]


@pytest.mark.parametrize(("library", "names"), [("glibc", 4), ("musl", 1)])
def test_servers_in_trouble_lead_glibc_on_through_the_search_list(library: str, names: int) -> None:
    played = play(library, "web", POD, lambda *_: SERVFAIL)
    assert played.result.outcome == AGAIN
    assert len(played.names) == names


@pytest.mark.parametrize(("library", "names"), [("glibc", 4), ("musl", 1)])
def test_a_name_without_an_address_ends_the_search_of_musl_only(library: str, names: int) -> None:
    played = play(library, "web", POD, lambda name, *_: EMPTY if name == WEB else NXDOMAIN)
    assert played.result.outcome == NO_ADDRESS
    assert len(played.names) == names


def test_other_peoples_answers_are_not_taken() -> None:
    numbers = count(1)
    steps = LIBRARIES["glibc"]("web", POD, lambda: next(numbers), 0.0)
    step = next(steps)
    stranger = answer_to(step.sendings[0].packet, NXDOMAIN)
    assert steps.send(Came(0.1, b"\xff\xff" + stranger[2:])).sendings == ()
    assert steps.send(Came(0.2, b"garbage")).until_s == step.until_s


def test_a_name_that_no_packet_carries_is_refused() -> None:
    for library in LIBRARIES:
        with pytest.raises(WireError):
            play(library, f"{'x' * 64}.test", POD, exists)
