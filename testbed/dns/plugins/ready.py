"""`ready [ADDRESS] { monitor … }`: a page that says OK when every plug-in can answer, else which cannot.

Source: plugin/ready/README.md of CoreDNS.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.dns.corefile import Directive
from testbed.dns.directives import Words, address, all_words, counted, one_of, only, options
from testbed.dns.surroundings import Block, Life, Made, Page

_ADDRESS = ("", 8181)
_MONITORS = ("until-ready", "continuously")


@dataclass(frozen=True, slots=True)
class Settings:
    """`monitor`: who has been ready once is not asked again, or is."""

    address: tuple[str, int]
    monitor: str = "until-ready"


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    monitor = _MONITORS[0]

    def read(words: Words) -> None:
        nonlocal monitor
        monitor = one_of(only(words), _MONITORS)

    options(directive, {"monitor": read})
    words = counted(all_words(directive), 0, 1)
    return Settings(address(words[0], _ADDRESS) if words else _ADDRESS, monitor)


def make(settings: Settings, block: Block) -> Made:
    """Shows the page at once."""
    page = ReadyPage(block.life, settings.monitor)
    block.around.pages.add(settings.address, "/ready", page.page)
    return Made()


@dataclass(slots=True)
class ReadyPage:
    """503 while a plug-in is not ready, and while the server is about to end."""

    life: Life
    monitor: str
    was_ready: bool = False

    def page(self) -> Page:
        if self.life.ending:
            return Page(503, b"Shutting down")
        unready = () if self.was_ready and self.monitor == "until-ready" else self.life.unready()
        if unready:
            return Page(503, ",".join(unready).encode())
        self.was_ready = True
        return Page(200, b"OK")
