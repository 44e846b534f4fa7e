"""Ending a run cleanly: the signals that ask for it, and the moments at which they must wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt, outside of shielded stretches.

    Later signals are ignored: by then the lab is being taken down, which is what they ask for.
    """

    def __init__(self) -> None:
        self._asked = False
        self._raised = False
        self._depth = 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals over; give them back at the end. Main thread only."""
        before = {number: signal.signal(number, self._on_signal) for number in _ASKING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A stretch that is finished first (storing a trial, taking a lab down)."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self._raise_if_due()

    @contextmanager
    def recognised(self) -> Iterator[None]:
        """A stretch that ends in KeyboardInterrupt when asked to, whoever got it first.

        A library that calls Python back may wrap it (pydantic does) and a finaliser loses it.
        """
        try:
            yield
        except Exception as error:
            if self._raised:
                raise KeyboardInterrupt from error
            raise
        if self._raised:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._asked and not self._raised and not self._depth:
            self._raised = True
            raise KeyboardInterrupt
