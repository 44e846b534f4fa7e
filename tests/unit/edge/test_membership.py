"""Speakers that find each other, and find out who is gone: many of them over a network that is a list."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from testbed.edge.membership import Membership, Message, Sending
from testbed.model.load_balancer import L2

SETTINGS = L2()
TRAVEL_S = 0.001


class Group:
    """Speakers and what is under way between them. `passes` says what arrives."""

    def __init__(self, size: int, settings: L2 = SETTINGS) -> None:
        self.now_s = 0.0
        self.names = [f"n{index}" for index in range(1, size + 1)]
        self.passes: Callable[[str, str], bool] = lambda sender, to: True
        self._settings = settings
        self._queue: list[tuple[float, int, str, Message]] = []
        self._numbers = count()
        self.speakers: dict[str, Membership] = {}
        for name in self.names:
            self.start(name)

    def start(self, name: str) -> None:
        """It boots, and knows who should be there."""
        chance = random.Random(f"{name} {self.now_s}").randrange
        self.speakers[name] = Membership(name, self._settings, chance, self.now_s)
        self.speakers[name].know(self.names, self.now_s)

    def until(self, at_s: float) -> None:
        """Let time pass."""
        while True:
            wakes = min(one.wake_at_s for one in self.speakers.values())
            arrives = self._queue[0][0] if self._queue else at_s
            self.now_s = max(self.now_s, min(wakes, arrives, at_s))
            if self.now_s >= at_s:
                return
            while self._queue and self._queue[0][0] <= self.now_s:
                _, _, to, message = heapq.heappop(self._queue)
                if to in self.speakers:
                    self._send(to, self.speakers[to].heard(message, self.now_s))
            for name, speaker in self.speakers.items():
                if speaker.wake_at_s <= self.now_s:
                    self._send(name, speaker.due(self.now_s))

    def until_all_see(self, members: set[str], within_s: float) -> float:
        """The time that passes until every speaker that runs sees these and no others."""
        began_s = self.now_s
        while self.seen() != {frozenset(members)}:
            assert self.now_s - began_s < within_s, self.seen()
            self.until(self.now_s + 0.05)
        return self.now_s - began_s

    def seen(self) -> set[frozenset[str]]:
        return {one.members for one in self.speakers.values()}

    def _send(self, sender: str, sendings: list[Sending]) -> None:
        for one in sendings:
            if self.passes(sender, one.to):
                row = (self.now_s + TRAVEL_S, next(self._numbers), one.to, one.message)
                heapq.heappush(self._queue, row)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 40])
def test_all_find_each_other(size: int) -> None:
    group = Group(size)
    group.until_all_see(set(group.names), 3.0)
    group.until(30.0)
    assert group.seen() == {frozenset(group.names)}


@pytest.mark.parametrize(("size", "within_s"), [(2, 7.0), (3, 8.0), (5, 20.0), (20, 30.0)], ids=str)
def test_who_falls_silent_is_dead_to_all_within_seconds(size: int, within_s: float) -> None:
    """A round of probes at most, the probe that fails, and the suspicion: 4 s, in larger groups until enough
    others confirm it.
    """
    group = Group(size)
    group.until(20.0)
    del group.speakers["n1"]
    took_s = group.until_all_see(set(group.names) - {"n1"}, within_s)
    assert took_s > SETTINGS.suspicion_mult * SETTINGS.probe_interval_s


def test_who_returns_is_a_member_again_although_it_begins_anew() -> None:
    group = Group(4)
    group.until(10.0)
    del group.speakers["n1"]
    group.until(60.0)
    group.start("n1")
    group.until_all_see(set(group.names), 3.0)


def test_sides_that_do_not_hear_each_other_go_on_alone_and_find_together_by_joining() -> None:
    group = Group(5)
    group.until(10.0)
    left = {"n1", "n2"}
    group.passes = lambda sender, to: (sender in left) == (to in left)
    group.until(70.0)
    assert group.seen() == {frozenset(left), frozenset(group.names) - left}
    group.passes = lambda sender, to: True
    group.until_all_see(set(group.names), SETTINGS.rejoin_interval_s + 3.0)


def test_one_whom_only_one_other_cannot_reach_stays_a_member() -> None:
    """The others probe it in that one's name."""
    group = Group(4)
    group.until(10.0)
    group.passes = lambda sender, to: {sender, to} != {"n1", "n2"}
    for _ in range(60):
        group.until(group.now_s + 1.0)
        assert group.seen() == {frozenset(group.names)}


def test_loss_makes_suspects_that_object() -> None:
    group = Group(6)
    group.until(5.0)
    chance = random.Random(1)
    group.passes = lambda sender, to: chance.random() > 0.1
    group.until(125.0)
    turns = [turn.state for one in group.speakers.values() for turn in one.turns]
    assert "suspect" in turns
    assert group.seen() == {frozenset(group.names)}


def test_equal_chances_give_equal_messages() -> None:
    def told() -> list[tuple[float, str]]:
        found: list[tuple[float, str]] = []
        group = Group(5)

        def passes(sender: str, to: str) -> bool:
            found.append((group.now_s, f"{sender} {to}"))
            return True

        group.passes = passes
        group.until(10.0)
        return found

    assert told() == told()


STRANGE: list[Any] = [
    {},
    [],
    "hello",
    7,
    {"from": "n2"},
    {"from": "n2", "type": "indirect"},
    {"from": "n2", "type": "push", "states": [{}]},
    {"from": "n2", "type": "ping", "number": 1, "rumours": [3]},
    {"from": "n2", "type": "gossip", "rumours": [{"is": "alive", "of": "n2", "incarnation": "x"}]},
    {"from": "n2", "type": "gossip", "rumours": [{"is": "alive", "of": "n9", "incarnation": "x"}]},
    {"from": "n2", "type": "gossip", "rumours": [{"is": "alive", "of": 9, "incarnation": 1}]},
]


@pytest.mark.parametrize("message", STRANGE, ids=str)
def test_what_is_no_message_changes_nothing(message: Any) -> None:
    group = Group(3)
    group.until(5.0)
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        group.speakers["n1"].heard(message, group.now_s)
    group.until(20.0)
    assert group.seen() == {frozenset(group.names)}


def test_what_is_asked_for_others_is_forgotten_when_nobody_answers() -> None:
    speaker = Membership("n1", SETTINGS, random.Random(1).randrange, 0.0)
    asked = {"from": "n2", "type": "indirect", "target": "gone"}
    for number in range(100):
        speaker.heard({**asked, "number": number}, float(number))
    (ping,) = speaker.heard({**asked, "number": 100}, 100.0)
    answer = {"from": "gone", "type": "ack"}
    assert not speaker.heard({**answer, "number": ping.message["number"] - 50}, 100.1)
    (ack,) = speaker.heard({**answer, "number": ping.message["number"]}, 100.1)
    assert (ack.to, ack.message["number"]) == ("n2", 100)
