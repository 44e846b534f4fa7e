"""Which links a fault's WHERE names, and which machines a partition's groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from testbed.errors import NotFound, UsageError
from testbed.fabric.machine import Cable, Fabric

_MOST_NAMED = 12
"""Machines that a hint names."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A cable, and at which of its ends is who was named first."""

    cable: Cable
    first_is: int


def chosen(where: Sequence[str], fabric: Fabric) -> list[Chosen]:
    """The links of one name (a link's, or a machine's: all of its links), or all those between two machines.

    Raises NotFound with what there is instead.
    """
    if len(where) == 1:
        name = where[0]
        found = [Chosen(cable, 0) for cable in fabric.cables if cable.name == name]
        found = found or _of(name, fabric)
        if not found:
            raise _nobody(name, [cable.name for cable in fabric.cables], fabric)
        return found
    one, other = where
    for name in where:
        require_machine(name, fabric)
    of_one = _of(one, fabric)
    between = [found for found in of_one if _far(found) == other]
    if not between:
        names = ", ".join(found.cable.name for found in of_one) or "none"
        raise NotFound(
            f"no link joins {one} and {other}",
            f"links of {one}: {names}; `partition {one} {other}` keeps them apart, whatever is between",
        )
    return between


def checked_groups(groups: Sequence[Sequence[str]], fabric: Fabric) -> None:
    """Raises NotFound for a name that is no machine, UsageError for one that exchanges no packets itself."""
    for name in (name for group in groups for name in group):
        require_machine(name, fabric)
        if fabric.machine(name).kind == "switch" and name != fabric.control_plane:
            raise UsageError(
                f"{name} is a switch: it is on no side itself",
                f"name machines; {fabric.control_plane} stands for the control plane",
            )


def require_machine(name: str, fabric: Fabric) -> None:
    """Raises NotFound with the nearest names."""
    if all(machine.name != name for machine in fabric.machines):
        raise _nobody(name, [], fabric)


def _of(name: str, fabric: Fabric) -> list[Chosen]:
    """All links of a machine."""
    return [
        Chosen(cable, end)
        for cable in fabric.cables
        for end in (0, 1)
        if cable.ends[end].machine == name
    ]


def _far(found: Chosen) -> str:
    return found.cable.ends[1 - found.first_is].machine


def _nobody(name: str, links: Sequence[str], fabric: Fabric) -> NotFound:
    machines = [machine.name for machine in fabric.machines]
    near = get_close_matches(name, [*machines, *links], 3)
    shown = machines[:_MOST_NAMED] + ["…"] * (len(machines) > _MOST_NAMED)
    hint = f"did you mean {' or '.join(near)}?" if near else f"machines: {', '.join(shown)}"
    return NotFound(f"no {'link or ' * bool(links)}machine {name!r}", hint)
