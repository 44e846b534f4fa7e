"""What a node's proxy wants next, from what it has: the decisions of a sync, without its doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.command import Command
from testbed.proxy.ruleset import Backend, Observed, Ruleset, changed_chains
from testbed.proxy.table import ForwardingTable, ProxyConfig, forwarding_table
from testbed.store import Snapshot


@dataclass(frozen=True, slots=True)
class Programme:
    """A table and the rules that spell it."""

    table: ForwardingTable
    rules: Ruleset


Plan = Callable[[Snapshot, str, Programme | None], Programme]
"""(state, node, the node's programme before) -> its next one; see `next_programme`."""


@dataclass(frozen=True, slots=True)
class Sync:
    """One planned sync: the commands that bring about the next programme."""

    next: Programme
    commands: tuple[Command, ...]
    full: bool
    """It does not build on what an earlier sync left."""
    changed_chains: int


@dataclass(frozen=True, slots=True)
class Step:
    """From what a node has to what it is to have; `have` None: from nothing."""

    have: Ruleset | None
    commands: tuple[Command, ...]
    changed_chains: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a sync starts from. Times are CLOCK_MONOTONIC."""

    snapshot: Snapshot
    start_ns: int
    queued_ns: int | None
    """When the oldest change came that was not in force yet; None: there was none."""
    service_changes: int
    endpoint_changes: int
    triggers_ns: tuple[int, ...]
    """When each change of a slice was written that is not in force yet."""


def next_programme(
    snapshot: Snapshot,
    config: ProxyConfig,
    node: str,
    backend: Backend,
    before: Programme | None,
    *,
    other: Programme | None = None,
) -> Programme:
    """The programme for a snapshot; the node's one before, and any other node's, only save work."""
    table = forwarding_table(
        snapshot, config, node, before.table if before else None, other.table if other else None
    )
    known = before or other
    return Programme(table, backend.plan(table, known.rules if known else None))


def alone(config: ProxyConfig, backend: Backend) -> Plan:
    """`next_programme` for a node that shares its work with no other."""
    return lambda snapshot, node, before: next_programme(snapshot, config, node, backend, before)


def starting_point(seen: Observed, want: Ruleset, backend: Backend) -> Ruleset | None:
    """What to compute a difference from, given what the kernel holds.

    None where all of it may be replaced: nothing is anybody else's, and nothing is there or so much
    differs that replacing is cheaper.
    """
    if seen.foreign:
        return seen.own
    return None if seen.empty or backend.rewrites(seen.own, want) else seen.own


def step(have: Ruleset | None, want: Ruleset, backend: Backend) -> Step:
    """What to do where the kernel is known to hold `have`."""
    return Step(have, tuple(backend.commands(have, want)), changed_chains(have, want))


def step_if_known(have: Ruleset | None, want: Ruleset, backend: Backend) -> Step | None:
    """What to do after a sync that left `have`. None: what the kernel holds has to be looked at, because
    nobody knows, or so much differs that replacing everything may be cheaper.
    """
    if have is None or backend.rewrites(have, want):
        return None
    return step(have, want, backend)
