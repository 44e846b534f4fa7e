"""Signals become one KeyboardInterrupt, at a moment at which nothing is half done."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from testbed.experiment.interrupt import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts().handled():
        os.kill(os.getpid(), number)


def test_a_shielded_stretch_is_finished_first() -> None:
    interrupts, done = Interrupts(), []

    def body() -> None:
        with interrupts.shielded():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("inner")
        done.append("after the stretch")

    with pytest.raises(KeyboardInterrupt), interrupts.handled():
        body()
    assert done == ["inner"]


def test_a_second_signal_does_not_disturb_the_clean_up() -> None:
    interrupts, done = Interrupts(), []

    def body() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("clean")

    with pytest.raises(KeyboardInterrupt), interrupts.handled():
        body()
    assert done == ["clean"]


def test_an_interrupt_that_a_library_wrapped_or_lost_is_still_one() -> None:
    def wrap() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ValueError("calling back") from error

    def lose() -> None:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    for meddle in (wrap, lose):
        interrupts = Interrupts()
        with pytest.raises(KeyboardInterrupt), interrupts.handled(), interrupts.recognised():
            meddle()


def test_other_errors_pass_where_nobody_interrupts() -> None:
    interrupts = Interrupts()
    with pytest.raises(ZeroDivisionError), interrupts.handled(), interrupts.recognised():
        raise ZeroDivisionError


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
