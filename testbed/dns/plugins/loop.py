"""`loop`: ends a server whose queries come back to it.

A query for a random name is sent through the chain at the start: who sees it more than twice forwards to
itself. Source: plugin/loop/README.md of CoreDNS.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.dns.corefile import Directive
from testbed.dns.directives import all_words, counted, options
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import Question

_HINFO = 13
_MOST = 2
_SETTLE_S = 0.1
"""From the start of the server to the query."""


def settings(directive: Directive, block_zones: tuple[str, ...]) -> None:
    """Raises CorefileError."""
    options(directive, {})
    counted(all_words(directive), 0, 0)


def make(settings: None, block: Block) -> Made:
    below = block.around.below
    labels = f"{below(1 << 62)}.{below(1 << 62)}"
    loop = Loop(block, f"{labels}.{block.zones[0]}".rstrip("."))
    return Made(loop, close=block.around.loop.later(_SETTLE_S, loop.ask))


@dataclass(slots=True)
class Loop:
    """Counts how often its own name is asked for."""

    block: Block
    asked: str
    name: str = "loop"
    seen: int = 0

    def ask(self) -> None:
        """Send the query."""
        query = Query(Question(self.asked, _HINFO), client="127.0.0.1")
        self.block.asked(query, _ignore)

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        if query.question.type == _HINFO and query.question.name.lower() == self.asked:
            self.seen += 1
            if self.seen > _MOST:
                zone = f"{self.block.zones[0]}."
                why = f'plugin/loop: Loop ({query.client} -> {self.block.server}) detected for zone "{zone}"'
                self.block.around.give_up(why)
                return
        next(query, respond)


def _ignore(reply: Reply) -> None:
    pass
