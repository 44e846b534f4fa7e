"""What a cable does to packets, as a value."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model.shape import NOTHING, Shape

WORDS = {
    "": {},
    "1 ms": {"delay_s": 0.001},
    "20 ms ± 2 ms": {"delay_s": 0.02, "jitter_s": 0.002},
    "0.1% lost": {"loss": 0.001},
    "1 Gbit/s": {"rate_bps": 1e9},
    "5 ms, 1% lost, 10 Mbit/s (queue 50)": {
        "delay_s": 0.005,
        "loss": 0.01,
        "rate_bps": 1e7,
        "queue": 50,
    },
}
MISTAKES: dict[str, dict[str, Any]] = {
    "delay must be": {"delay_s": -0.1},
    "delay must be from 0 to 60s": {"delay_s": 61.0},
    "jitter must be from 0 to 2s": {"delay_s": 5.0, "jitter_s": 3.0},
    "jitter is more than delay": {"delay_s": 0.1, "jitter_s": 0.2},
    "loss must be": {"loss": 1.5},
    "rate must be from 8kbit": {"rate_bps": 100.0},
    "rate must be from 8kbit to 1tbit": {"rate_bps": 2e12},
    "queue must be one packet": {"rate_bps": 1e6, "queue": 0},
    "queue needs a rate": {"queue": 10},
}


@pytest.mark.parametrize("words", WORDS)
def test_a_shape_is_said_in_words(words: str) -> None:
    assert Shape(**WORDS[words]).words() == words


@pytest.mark.parametrize("message", MISTAKES)
def test_no_cable_is_like_that(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shape(**MISTAKES[message])


def test_json_holds_what_differs_from_nothing() -> None:
    shape = Shape(delay_s=0.001, rate_bps=1e6)
    assert shape.to_json() == {"delay_s": 0.001, "rate_bps": 1e6}
    assert Shape(**shape.to_json()) == shape  # type: ignore[arg-type]
    assert NOTHING.to_json() == {}
    assert (NOTHING.nothing, shape.nothing) == (True, False)


def test_netem_is_for_more_than_a_rate() -> None:
    assert not Shape(rate_bps=1e9, queue=10).needs_netem
    assert Shape(loss=0.1).needs_netem
