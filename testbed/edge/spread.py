"""What a balancer that passes packets on does now: its frontends, and the nodes that are well."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from testbed.edge.cloud import Check, Frontend, Plan, Target


@dataclass(frozen=True, slots=True)
class Spread:
    """One frontend, and who gets what is new. Who gets nothing new keeps what it has."""

    frontend: Frontend
    taking: tuple[Target, ...]
    """Of its targets those that are well, in their order."""


def spread(plan: Plan, ill: Collection[tuple[Target, Check]]) -> tuple[Spread, ...]:
    """The state of a plan whose checks say that these are not well."""
    return tuple(
        Spread(one, tuple(target for target in one.targets if (target, one.check) not in ill))
        for one in plan.frontends
    )
