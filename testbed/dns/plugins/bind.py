"""`bind ADDRESS…`: the addresses where the server listens, instead of all of its pod's."""

from __future__ import annotations

from ipaddress import ip_address

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import all_words, counted, options
from testbed.dns.surroundings import Block, Made


def settings(directive: Directive, block_zones: tuple[str, ...]) -> tuple[str, ...]:
    """Raises CorefileError."""
    options(directive, {}, unbuilt="except")
    found = []
    for word in counted(all_words(directive), 1):
        try:
            found.append(str(ip_address(word.text)))
        except ValueError:
            message = f"{word} is no address"
            raise CorefileError(word, message, "interfaces by name are not built here") from None
    return tuple(found)


def make(settings: tuple[str, ...], block: Block) -> Made:
    return Made()
