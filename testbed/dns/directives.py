"""Reading one plug-in's lines of a Corefile, with the place of every mistake."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from testbed.dns.corefile import CorefileError, Directive, Token, zone_of
from testbed.spelling import did_you_mean
from testbed.units import duration_s

Words = Sequence[Token]


@dataclass(frozen=True, slots=True)
class Fallthrough:
    """Names in these zones go on to the next plug-in where this one knows nothing; empty: none do."""

    zones: tuple[str, ...] = ()

    def lets(self, name: str) -> bool:
        """`name` in lower case, without the final dot."""
        return longest_zone(name, self.zones) is not None


NONE = Fallthrough()


def longest_zone(name: str, zones: Collection[str]) -> str | None:
    """The longest of the zones that a name is in, None where it is in none. All in lower case."""
    while name not in zones:
        if not name:
            return None
        name = name.partition(".")[2]
    return name


def options(
    directive: Directive, known: Mapping[str, Callable[[Words], None]], *, unbuilt: str = ""
) -> None:
    """Hand each line of the block to who reads it. Raises CorefileError for an option that nobody knows.

    `unbuilt` are words of CoreDNS's that mean nothing here.
    """
    for line in directive.options:
        word = line[0]
        if word.text in unbuilt.split():
            message = f"{directive.name} {word} is not built here"
            raise CorefileError(word, message, "leave it out")
        if word.text not in known:
            hint = did_you_mean(word.text, known) or f"known are {', '.join(sorted(known))}"
            if not known:
                hint = "it has none"
            raise CorefileError(word, f"{directive.name} has no option {word}", hint)
        known[word.text](line)


def counted(words: Words, least: int, most: int | None = None) -> Words:
    """The words behind the first. Raises CorefileError where there are too few or too many of them."""
    given = words[1:]
    if len(given) < least:
        raise CorefileError(words[0], f"{words[0]} needs {_number(least)} behind it")
    if most is not None and len(given) > most:
        raise CorefileError(given[most], f"{given[most]} is one word too many for {words[0]}")
    return given


def only(words: Words) -> Token:
    """The one word behind the first. Raises CorefileError."""
    return counted(words, 1, 1)[0]


def all_words(directive: Directive) -> Words:
    """The line itself, its name first."""
    return (directive.name, *directive.arguments)


def whole(word: Token, least: int = 0, most: int = 1 << 31) -> int:
    """Raises CorefileError."""
    if not re.fullmatch(r"\d{1,12}", word.text) or not least <= int(word.text) <= most:
        span = f"from {least} to {most}" if most < 1 << 31 else f"of {least} or more"
        raise CorefileError(word, f"{word} is no whole number {span}")
    return int(word.text)


def duration(word: Token, least_s: float = 0.0, most_s: float = math.inf) -> float:
    """Seconds. Raises CorefileError."""
    try:
        found = duration_s(word.text)
    except ValueError as error:
        raise CorefileError(word, str(error)) from None
    if not least_s <= found <= most_s:
        bound = f"at least {least_s:g}s" if found < least_s else f"at most {most_s:g}s"
        raise CorefileError(word, f"must be {bound}")
    return found


def one_of(word: Token, choices: Collection[str]) -> str:
    """Raises CorefileError."""
    if word.text not in choices:
        hint = did_you_mean(word.text, choices)
        raise CorefileError(word, f"{word} is none of {', '.join(choices)}", hint)
    return word.text


def zones(words: Words, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The zones that words mean; `otherwise` where there are none."""
    return tuple(zone for word in words for zone in zone_of(word)) or otherwise


def fallthrough(words: Words) -> Fallthrough:
    """Of a line `fallthrough [ZONES…]`: without any, all names."""
    return Fallthrough(zones(counted(words, 0), ("",)))


def address(word: Token, otherwise: tuple[str, int]) -> tuple[str, int]:
    """(host, port) of `:8080`, `127.0.0.1:8080`, `[::1]:8080`. Raises CorefileError."""
    host, colon, port = word.text.rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:
        hint = f"write it like :{otherwise[1]}"
        raise CorefileError(word, f"{word} is no address with a port", hint)
    return host.strip("[]"), int(port)


def _number(count: int) -> str:
    return "a word" if count == 1 else f"{count} words"
