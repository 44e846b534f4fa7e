"""`errors { stacktrace; consolidate … }`: why queries failed, a line of the log each.

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
    show_first: bool
    """The first is told at once, and the sum only where others follow."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`stacktrace`: where a mistake of ours was made is told, too."""

    consolidations: tuple[Consolidation, ...] = ()
    stacktrace: bool = False


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    found: list[Consolidation] = []
    stacktrace = False

    def consolidate(words: Words) -> None:
        period, pattern, *more = counted(words, 2, 4)
        said = [one_of(word, (*_LEVELS, "show_first")) for word in more]
        level = next((word for word in said if word in _LEVELS), "error")
        regex = regular(pattern.text, words)
        shown = "show_first" in said
        found.append(Consolidation(duration(period), regex, _LEVELS[level], shown))

    def with_stacktrace(words: Words) -> None:
        nonlocal stacktrace
        counted(words, 0, 0)
        stacktrace = True

    counted(all_words(directive), 0, 0)
    options(directive, {"consolidate": consolidate, "stacktrace": with_stacktrace})
    return Settings(tuple(found), stacktrace)


def regular(text: str, words: Words) -> re.Pattern[str]:
    """A regular expression. Raises CorefileError."""
    try:
        return re.compile(text)
    except re.error as error:
        raise CorefileError(words[0], f"{text!r} is no regular expression: {error}") from None


def make(settings: Settings, block: Block) -> Made:
    block.life.stacktrace = block.life.stacktrace or settings.stacktrace
    errors = Errors(settings.consolidations, block)
    block.failed.append(errors.failed)
    return Made(close=errors.close)


@dataclass(slots=True)
class Errors:
    """Hears of failures from the plug-ins behind it."""

    consolidations: tuple[Consolidation, ...]
    block: Block
    _counts: dict[Consolidation, int] = field(default_factory=dict)
    """Those that are being summed up."""
    _cancels: dict[Consolidation, Callable[[], None]] = field(default_factory=dict)

    def failed(self, query: Query, why: str) -> None:
        """A query got SERVFAIL."""
        question = query.question
        line = f"2 {question.name}. {type_text(question.type)}: {why}"
        for one in self.consolidations:
            if one.pattern.search(why):
                self._count(one, line)
                return
        self._say("ERROR", line)

    def close(self) -> None:
        """Sum up no more."""
        for cancel in self._cancels.values():
            cancel()

    def _count(self, one: Consolidation, line: str) -> None:
        if one not in self._counts:
            later = self.block.around.loop.later
            self._cancels[one] = later(one.every_s, lambda: self._sum(one))
            if one.show_first:
                self._say(one.level, line)
        self._counts[one] = self._counts.get(one, 0) + 1

    def _sum(self, one: Consolidation) -> None:
        count = self._counts.pop(one)
        del self._cancels[one]
        if count > 1 or not one.show_first:
            like = f"errors like {one.pattern.pattern!r} occurred in last {one.every_s:g}s"
            self._say(one.level, f"{count} {like}")

    def _say(self, level: str, line: str) -> None:
        self.block.around.say(f"[{level}] plugin/errors: {line}")
