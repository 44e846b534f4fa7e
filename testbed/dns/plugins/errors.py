"""`errors { consolidate … }`: why queries failed, a line of the log each.

Source: plugin/errors/README.md of CoreDNS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import Words, all_words, counted, duration, one_of, options
from testbed.dns.query import Query
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import type_text

_LEVELS = {"warning": "WARNING", "error": "ERROR", "info": "INFO", "debug": "DEBUG"}


@dataclass(frozen=True, slots=True)
class Consolidation:
    """Errors that match are summed up, a line per `every_s`."""

    every_s: float
    pattern: re.Pattern[str]
    level: str


def settings(directive: Directive, block_zones: tuple[str, ...]) -> tuple[Consolidation, ...]:
    """Raises CorefileError."""
    found: list[Consolidation] = []

    def consolidate(words: Words) -> None:
        period, pattern, *more = counted(words, 2, 4)
        level = "error"
        for word in more:
            if word.text != "show_first":
                level = one_of(word, _LEVELS)
        found.append(Consolidation(duration(period), regular(pattern.text, words), _LEVELS[level]))

    counted(all_words(directive), 0, 0)
    options(directive, {"consolidate": consolidate, "stacktrace": lambda words: None})
    return tuple(found)


def regular(text: str, words: Words) -> re.Pattern[str]:
    """A regular expression. Raises CorefileError."""
    try:
        return re.compile(text)
    except re.error as error:
        raise CorefileError(words[0], f"{text!r} is no regular expression: {error}") from None


def make(settings: tuple[Consolidation, ...], block: Block) -> Made:
    errors = Errors(settings, block)
    block.failed.append(errors.failed)
    return Made(close=errors.close)


@dataclass(slots=True)
class Errors:
    """Hears of failures from the plug-ins behind it."""

    settings: tuple[Consolidation, ...]
    block: Block
    _counts: dict[Consolidation, int] = field(default_factory=dict)
    _cancels: list[Callable[[], None]] = field(default_factory=list)

    def failed(self, query: Query, why: str) -> None:
        """A query got SERVFAIL."""
        question = query.question
        for one in self.settings:
            if one.pattern.search(why):
                self._count(one)
                return
        line = f"[ERROR] plugin/errors: 2 {question.name}. {type_text(question.type)}: {why}"
        self.block.around.say(line)

    def close(self) -> None:
        for cancel in self._cancels:
            cancel()

    def _count(self, one: Consolidation) -> None:
        if not self._counts.get(one):
            self._counts[one] = 0
            self._cancels.append(self.block.around.loop.later(one.every_s, lambda: self._sum(one)))
        self._counts[one] += 1

    def _sum(self, one: Consolidation) -> None:
        count, self._counts[one] = self._counts[one], 0
        self._cancels.clear()
        line = f"[{one.level}] plugin/errors: {count} errors like {one.pattern.pattern!r} "
        self.block.around.say(f"{line}occurred in last {one.every_s:g}s")
