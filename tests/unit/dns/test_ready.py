"""Ready-made answers: found again, forgotten by name, bounded, counted."""

from __future__ import annotations

import pytest

from testbed.dns import ready as module
from testbed.dns.query import Reply
from testbed.dns.ready import MAX_ANSWER, Entry, Ready

WEB, API = "web.default.svc.cluster.local", "api.default.svc.cluster.local"
NAMESPACE = "default.svc.cluster.local"


def kept(
    ready: Ready, key: bytes, *depends: str, answer: bytes = b"answer", turns: int = 1
) -> None:
    ready.keep(b"id" + key, Entry(Reply(depends=frozenset(depends)), turns), b"id" + answer)


def test_an_answer_is_found_whatever_the_id() -> None:
    ready = Ready()
    kept(ready, b"web", WEB)
    assert ready.find(b"42web") == b"answer"
    assert ready.find(b"42api") is None


def test_a_name_takes_along_all_that_rests_on_it_and_nothing_else() -> None:
    ready = Ready()
    kept(ready, b"web", WEB, NAMESPACE)
    kept(ready, b"api", API, NAMESPACE)
    ready.forget([WEB])
    assert ready.find(b"42web") is None
    assert ready.find(b"42api")
    ready.forget([NAMESPACE, "unheard.of"])
    assert len(ready) == 0


def test_every_turn_has_an_answer_of_its_own() -> None:
    ready = Ready()
    entry = Entry(Reply(depends=frozenset({WEB})), 2)
    ready.keep(b"\0\0q", entry, b"\0\0even")
    assert ready.find(b"\0\1q") is None
    ready.keep(b"\0\1q", entry, b"\0\1odd")
    assert [ready.find(bytes((0, ident)) + b"q") for ident in range(4)] == [b"even", b"odd"] * 2


def test_what_nobody_asks_for_any_more_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 10)
    ready = Ready()
    kept(ready, b"popular", WEB)
    for number in range(100):
        kept(ready, b"random%d" % number, f"{number}.{NAMESPACE}")
        assert ready.find(b"42popular")
        assert len(ready) <= 21
    ready.forget([WEB])
    assert ready.find(b"42popular") is None


def test_a_change_that_comes_often_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    ready = Ready()
    for _ in range(1000):
        kept(ready, b"web", WEB, NAMESPACE)
        ready.forget([WEB])
    assert sum(map(len, ready._young.by_name.values())) < 100


def test_very_long_answers_are_not_kept() -> None:
    ready = Ready()
    kept(ready, b"web", WEB, answer=bytes(MAX_ANSWER))
    assert len(ready) == 0


@pytest.mark.parametrize(
    "end",
    [Ready.tell, Ready.clear, lambda ready: ready.forget([WEB])],
    ids=["tell", "clear", "forget"],
)
def test_who_counts_is_told_of_every_answer_once(end: object) -> None:
    told: list[int] = []
    ready = Ready()
    ready.keep(b"idweb", Entry(Reply(depends=frozenset({WEB}), counted=told.append), 1), b"idx")
    for _ in range(3):
        ready.find(b"42web")
    assert not told
    end(ready)  # type: ignore[operator]
    ready.tell()
    assert told == [3]


def test_of_what_makes_room_somebody_is_told_once_however_it_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 20)
    told: list[int] = []
    ready = Ready()
    for number in range(20):
        entry = Entry(Reply(depends=frozenset({WEB}), counted=told.append), 1)
        ready.keep(b"id%d" % number, entry, b"idx")
        ready.find(b"42%d" % number)
    for number in range(22):  # the twenty are young, then old, and go a few at a time
        kept(ready, b"random%d" % number, WEB)
    assert 0 < len(told) < 20
    ready.tell()
    for number in range(60):
        kept(ready, b"other%d" % number, WEB)
    assert told == [1] * 20


def test_who_counts_is_told_when_an_answer_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    told: list[int] = []
    ready = Ready()
    ready.keep(b"idweb", Entry(Reply(depends=frozenset({WEB}), counted=told.append), 1), b"idx")
    ready.find(b"42web")
    for number in range(10):
        kept(ready, b"random%d" % number)
    assert told == [1]
