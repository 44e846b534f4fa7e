"""A Corefile -> a server's chains of plug-ins, one per server block.

Read purely (`planned`: what `testbed check` does), then made in a server's process (`Chain`). Which plug-in
sees a query before which other is `plugin_cfg`'s, whatever order the Corefile is written in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.dns.corefile import CorefileError, server_blocks
from testbed.dns.directives import longest_zone
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.dns.plugins import (
    autopath,
    bind,
    cache,
    errors,
    forward,
    health,
    hosts,
    kubernetes,
    loadbalance,
    log,
    loop,
    prometheus,
    ready,
    reload,
    rewrite,
)
from testbed.dns.query import Plugin, Query, Reply, Respond, Serve
from testbed.dns.surroundings import Block, Kind, Life, Made, Surroundings
from testbed.dns.wire import REFUSED
from testbed.dns.zone_options import normal
from testbed.spelling import did_you_mean

KINDS: Mapping[str, Kind] = {
    "autopath": autopath,
    "bind": bind,
    "cache": cache,
    "errors": errors,
    "forward": forward,
    "health": health,
    "hosts": hosts,
    "kubernetes": kubernetes,
    "log": log,
    "loadbalance": loadbalance,
    "loop": loop,
    "prometheus": prometheus,
    "ready": ready,
    "reload": reload,
    "rewrite": rewrite,
}
"""Those that are built here."""


@dataclass(frozen=True, slots=True)
class PlannedPlugin:
    """A plug-in, and what its lines say."""

    name: str
    settings: Any


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """A server block, its plug-ins in their order."""

    zones: tuple[str, ...]
    port: int
    plugins: tuple[PlannedPlugin, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A whole Corefile."""

    blocks: tuple[PlannedBlock, ...]

    @property
    def port(self) -> int:
        return self.blocks[0].port

    @property
    def watches_pods(self) -> bool:
        """Whether it has to know the cluster's pods."""
        settings = (one.settings for block in self.blocks for one in block.plugins)
        return any(
            isinstance(one, kubernetes.Settings) and one.published.pods == "verified"
            for one in settings
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where `bind` has it listen; empty: wherever it is."""
        bound = (
            one.settings for block in self.blocks for one in block.plugins if one.name == "bind"
        )
        return tuple(dict.fromkeys(address for addresses in bound for address in addresses))


def planned(text: str, order: Sequence[str] = PLUGIN_CFG) -> Planned:
    """What a Corefile asks for. Raises CorefileError for its first mistake."""
    plan, mistakes = read(text, order)
    if plan is None:
        raise mistakes[0]
    return plan


def read(
    text: str, order: Sequence[str] = PLUGIN_CFG
) -> tuple[Planned | None, tuple[CorefileError, ...]]:
    """What a Corefile asks for, or None and every mistake in it."""
    mistakes: list[CorefileError] = []
    blocks = []
    try:
        written = server_blocks(text)
    except CorefileError as error:
        return None, (error,)
    for block in written:
        plugins: list[PlannedPlugin] = []
        for directive in block.directives:
            name = directive.name.text
            try:
                if name not in KINDS:
                    raise _unknown(directive.name)
                if name not in order:
                    raise CorefileError(
                        directive.name, f"{name} has no place in the order of plug-ins", "add it"
                    )
                plugins.append(PlannedPlugin(name, KINDS[name].settings(directive, block.zones)))
            except CorefileError as error:
                mistakes.append(error)
        plugins.sort(key=lambda one: order.index(one.name))
        blocks.append(PlannedBlock(block.zones, block.port, tuple(plugins)))
        if block.port != blocks[0].port:
            message = f"port {block.port}: the blocks above have {blocks[0].port}"
            mistakes.append(CorefileError(block.key, message, "a server here has one port"))
    return (None, tuple(mistakes)) if mistakes else (Planned(tuple(blocks)), ())


class Chain:
    """The chains of one Corefile, made: what a server asks about every query."""

    def __init__(self, plan: Planned, around: Surroundings) -> None:
        """Raises OSError or ValueError for what a plug-in needs and does not get."""
        self.life = Life()
        self._closes: list[Callable[[], None]] = []
        self._serves: dict[str, Serve] = {}
        try:
            for block in plan.blocks:
                self._serves.update(dict.fromkeys(block.zones, self._made(block, around)))
        except (OSError, ValueError):
            self.close()
            raise

    def serve(self, query: Query, respond: Respond) -> None:
        """Answer by the block whose zone is the longest that the name is in; REFUSED where there is none."""
        zone = longest_zone(normal(query.question.name), self._serves)
        if zone is None:
            _refuse(query, respond)
        else:
            self._serves[zone](query, respond)

    def close(self) -> None:
        """Let go of what plug-ins do by themselves: timers, checks. Queries that wait are still answered."""
        for close in self._closes:
            close()
        self._closes.clear()

    def _made(self, plan: PlannedBlock, around: Surroundings) -> Serve:
        block = Block(f"dns://:{plan.port}", plan.zones, around, self.life, asked=self.serve)
        block.plugins = tuple(one.name for one in plan.plugins)
        made: list[tuple[str, Made]] = []
        # From the last: who asks another one finds it made.
        for one in reversed(plan.plugins):
            found = KINDS[one.name].make(one.settings, block)
            made.append((one.name, found))
            self._closes.append(found.close)
            self.life.readiness.append((one.name, found.ready))
        serve: Serve = _refuse
        for _, found in made:
            if found.plugin is not None:
                serve = _linked(found.plugin, serve)
        return serve


def _linked(plugin: Plugin, rest: Serve) -> Serve:
    serve = plugin.serve
    return lambda query, respond: serve(query, respond, rest)


def _refuse(query: Query, respond: Respond) -> None:
    """Nobody is asked on behalf of such a name."""
    respond(Reply(REFUSED, authoritative=False, depends=frozenset()))


def _unknown(name: Any) -> CorefileError:
    if name.text in PLUGIN_CFG:
        hint = f"there are {', '.join(sorted(KINDS))}"
        return CorefileError(name, f"CoreDNS's plug-in {name} is not built here", hint)
    hint = did_you_mean(name.text, KINDS) or f"there are {', '.join(sorted(KINDS))}"
    return CorefileError(name, f"there is no plug-in {name}", hint)
