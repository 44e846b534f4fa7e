"""A node that could not be heard for a while goes on in its old rhythm."""

from __future__ import annotations

from testbed.controllers.heartbeats import Heartbeats

GRACE_S = 50.0


def heartbeats() -> Heartbeats:
    found = Heartbeats(GRACE_S)
    found.begin("n1", 100.0)
    return found


def test_what_was_missed_stays_missed() -> None:
    beats = heartbeats()
    beats.end("n1", 125.0)
    assert beats.last_s("n1", 171.0) == 120.0
    assert beats.resume("n1", 172.0) == 180.0
    assert beats.last_s("n1", 179.0) == 120.0
    assert beats.last_s("n1", 191.0) == 190.0


def test_a_silence_between_two_beats_is_none() -> None:
    beats = heartbeats()
    beats.end("n1", 121.0)
    assert beats.resume("n1", 121.5) == 130.0
    assert beats.last_s("n1", 125.0) == 120.0
    assert beats.last_s("n1", 131.0) == 130.0


def test_silent_again_before_the_next_beat() -> None:
    beats = heartbeats()
    beats.end("n1", 121.0)
    beats.resume("n1", 172.0)
    beats.end("n1", 173.0)
    assert beats.last_s("n1", 400.0) == 120.0
    assert beats.resume("n1", 401.0) == 410.0


def test_who_was_never_heard_begins() -> None:
    beats = Heartbeats(GRACE_S)
    assert beats.resume("n1", 7.0) == 7.0
    assert beats.last_s("n1", 18.0) == 17.0
