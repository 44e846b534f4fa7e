"""`loadbalance [round_robin]`: address records begin at any of them.

The packet's id chooses, as in CoreDNS; without it all clients would dial the first pod of a headless service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import all_words, counted, one_of, options
from testbed.dns.query import Query, Respond, Serve
from testbed.dns.surroundings import Block, Made


def settings(directive: Directive, block_zones: tuple[str, ...]) -> None:
    """Raises CorefileError."""
    options(directive, {})
    words = counted(all_words(directive), 0)
    if words and words[0].text == "weighted":
        raise CorefileError(words[0], "loadbalance weighted is not built here", "use round_robin")
    for word in counted(all_words(directive), 0, 1):
        one_of(word, ("round_robin",))


def make(settings: None, block: Block) -> Made:
    return Made(LoadBalance())


@dataclass(frozen=True, slots=True)
class LoadBalance:
    """Lets the server turn the list."""

    name: str = "loadbalance"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        next(query, lambda reply: respond(replace(reply, rotate=True) if reply.answers else reply))
