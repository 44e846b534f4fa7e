"""Faults of the network between machines, as values: which links, how, and who is kept apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.errors import UsageError
from testbed.model.shape import Shape

LINK_KINDS = ("cut", "impair", "partition", "heal")
DIRECTIONS = ("both", "out", "in")
PARTITION = "partition"
SHAPES = ("delay_s", "jitter_s", "loss", "rate_bps", "queue")
"""Options of `impair` that are a shape's fields."""


@dataclass(frozen=True, slots=True)
class LinkFault:
    """Something that goes wrong with links.

    cut: no packet passes, and both ends see no carrier. impair: packets pass as `how` says; the rest is as the
    topology has it. heal: everything is.
    """

    kind: str
    where: tuple[str, ...]
    """A link's name; a machine: all of its links; two machines: all links between them."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """impair: fields of a `Shape`."""
    direction: str = "both"
    """impair: both; out: what leaves the first one named (or the link's first end); in: what comes to it."""

    @property
    def level(self) -> str:
        """The label under which figures are kept apart."""
        return self.kind

    def shaped(self, as_in_the_file: Shape) -> Shape:
        """The shape of a link while it lasts. Raises UsageError."""
        said = dict(self.how)
        if "delay_s" in said:
            said.setdefault("jitter_s", 0.0)  # the jitter in the file is the file's delay's
        try:
            return replace(as_in_the_file, **said)
        except ValueError as error:
            raise UsageError(f"impair: {error}") from error


@dataclass(frozen=True, slots=True)
class Partition:
    """Machines of different groups exchange no packet; whom no group names talks to everybody."""

    groups: tuple[tuple[str, ...], ...]

    @property
    def level(self) -> str:
        """The label under which figures are kept apart."""
        return PARTITION


def link_fault(kind: str, where: Sequence[str], options: Mapping[str, Any]) -> LinkFault:
    """A fault of links. Raises UsageError."""
    if not 1 <= len(where) <= 2:
        raise UsageError(
            f"{kind} is for a link, a machine or two machines, not for {len(where)}",
            f"such as: {kind} n1, {kind} n1 switch",
        )
    if len(where) == 2 and where[0] == where[1]:
        raise UsageError(f"{where[0]} has no link to itself", f"such as: {kind} n1 switch")
    how = {name: options[name] for name in SHAPES if name in options}
    if kind == "impair" and not how:
        raise UsageError(
            "impair needs at least one of --delay, --loss, --rate", "as in --delay 20ms --loss 1%"
        )
    direction = str(options.get("direction", "both"))
    if direction not in DIRECTIONS:
        raise UsageError(
            f"--direction: there is no {direction!r}",
            "both; out: what leaves the first one named; in: what comes to it",
        )
    return LinkFault(kind, tuple(where), how, direction)


def partition(where: Sequence[str]) -> Partition:
    """Groups as they are written: names joined by commas, a word per group. Raises UsageError."""
    groups = tuple(tuple(word.split(",")) for word in where)
    if len(groups) < 2:
        raise UsageError(
            "a partition has at least two groups", "a word for each, as in: partition n1,n2 n3"
        )
    names = [name for group in groups for name in group]
    if not all(names):
        raise UsageError("a group has an empty name in it", "write it as: partition n1,n2 n3")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is named twice", "a machine is on one side")
    return Partition(groups)


def ends_of(direction: str, *, first_is: int) -> tuple[int, ...]:
    """The ends at which packets enter a cable; `first_is`: at which end the first one named is."""
    if direction == "both":
        return 0, 1
    return (first_is,) if direction == "out" else (1 - first_is,)
