"""Who waits for whom."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.dns.backlog import Backlog
from testbed.dns.congestion import Senders, admitted


def drained(backlog: Backlog[str]) -> list[str]:
    return [backlog.take() for _ in range(len(backlog))]


def filled(work: str, room: int = 100) -> tuple[Backlog[str], list[str]]:
    """Of work like `a1 b1`, the letter being the client; and what was lost."""
    backlog = Backlog[str](room)
    lost = [backlog.put(one[0], one) for one in work.split()]
    return backlog, [one for one in lost if one is not None]


def test_clients_take_turns_each_in_its_own_order() -> None:
    backlog, _ = filled("a1 a2 a3 a4 b1 c1 c2")
    assert drained(backlog) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_a_full_queue_costs_the_one_who_filled_it() -> None:
    backlog, lost = filled("a1 a2 a3 b1 a4 c1", room=4)
    assert lost == ["a4", "a3"]
    assert drained(backlog) == ["a1", "b1", "c1", "a2"]


def test_who_waits_for_least_finds_room_in_a_full_queue() -> None:
    backlog, _ = filled("a1 a2 a3 b1", room=4)
    assert not backlog.has_room("a")
    assert backlog.has_room("b")
    assert backlog.has_room("c")
    backlog.take()
    assert backlog.has_room("a")


def test_nothing_waits() -> None:
    with pytest.raises(LookupError):
        Backlog[str]().take()


@given(st.lists(st.sampled_from("abc")))
def test_nobody_loses_while_somebody_else_has_more(clients: list[str]) -> None:
    backlog = Backlog[str](6)
    for client in clients:
        before = Counter({one: backlog.waiting(one) for one in "abc"})
        lost = backlog.put(client, client)
        assert len(backlog) <= 6
        if lost is not None:
            assert before[lost] == max(before.values())
    assert Counter(drained(backlog)) <= Counter(clients)


@pytest.mark.parametrize(
    ("senders", "answered"),
    [
        pytest.param("a" * 64, {"a": 8}, id="one client: an eighth"),
        pytest.param("a" * 63 + "b", {"a": 8, "b": 1}, id="a flood, and somebody else"),
        pytest.param("a" * 50 + "b" * 14, {"a": 50, "b": 14}, id="four times as busy as another"),
        pytest.param("ab" * 31 + "cc", {"a": 8, "b": 8, "c": 2}, id="two floods"),
        pytest.param("abcd" * 16, dict.fromkeys("abcd", 16), id="alike busy"),
    ],
)
def test_a_long_queue_is_thinned_fairly(senders: str, answered: dict[str, int]) -> None:
    chosen = admitted(senders)
    assert Counter(senders[number] for number in chosen) == answered


def test_who_is_alone_takes_nothing_from_anybody_and_others_are_remembered_for_a_while() -> None:
    senders = Senders()
    assert not any(senders.are_several("aaaa", now_s) for now_s in range(100))
    assert senders.are_several("aaab", 100.0)
    assert senders.are_several("aaaa", 105.0)
    assert not [senders.are_several("aaaa", now_s) for now_s in (106.0, 120.0, 140.0)][-1]
