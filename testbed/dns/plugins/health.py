"""`health [ADDRESS] { lameduck DURATION }`: a page that says OK while the server answers at all.

Source: plugin/health/README.md of CoreDNS.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.dns.corefile import Directive
from testbed.dns.directives import Words, address, all_words, counted, duration, only, options
from testbed.dns.surroundings import Block, Made, Page

_ADDRESS = ("", 8080)


@dataclass(frozen=True, slots=True)
class Settings:
    """`lameduck_s`: how long it goes on answering when it has been told to end."""

    address: tuple[str, int]
    lameduck_s: float = 0.0


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    lameduck_s = 0.0

    def lameduck(words: Words) -> None:
        nonlocal lameduck_s
        lameduck_s = duration(only(words))

    options(directive, {"lameduck": lameduck})
    words = counted(all_words(directive), 0, 1)
    return Settings(address(words[0], _ADDRESS) if words else _ADDRESS, lameduck_s)


def make(settings: Settings, block: Block) -> Made:
    """Shows the page at once."""
    block.life.lameduck_s = max(block.life.lameduck_s, settings.lameduck_s)
    block.around.pages.add(settings.address, "/health", lambda: Page(200, b"OK"))
    return Made()
