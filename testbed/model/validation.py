"""Plain values -> Topology, with every complaint and as much of the topology as is right."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from testbed.model.complaint import complaints
from testbed.model.fields import Mistake, Path
from testbed.model.topology import Topology

_MOST_ROUNDS = 20
_NAMED = ("nodes", "hosts", "workloads")
"""Sections whose entries may be empty: a wrong entry keeps its name, as others refer to it."""
_ESSENTIAL = ("nodes", "workloads", "network")
"""Without one of these further checks would only mislead."""
_WIRING: tuple[Path, ...] = (("links",), ("racks",), ("routers",), ("network", "controlPlane"))
"""Of the first two, when a part is left out, nothing is known of where the others hang."""


def validate(value: dict[str, Any]) -> tuple[Topology | None, list[Mistake]]:
    """The topology without what is wrong in it, and what that is.

    So that contradictions in the rest can be found in the same run. None where too much is wrong.
    """
    mistakes: list[Mistake] = []
    left_out: list[Path] = []
    # Leaving a value out can show the next mistake: keys are compared once each is right by itself.
    for _ in range(_MOST_ROUNDS):
        try:
            return Topology.model_validate(value), mistakes
        except ValidationError as error:
            found = complaints(error, Topology)
        mistakes.extend(mistake for mistake in found if not _follows(mistake, left_out))
        for mistake in found:
            path = _to_leave_out(mistake)
            if path is None:
                return None, mistakes
            value = _pruned(value, path, keep=path[0] in _NAMED and not mistake.at_key)
            left_out.append(path)
            if path[0] in ("links", "racks"):
                for hanging in _WIRING:
                    value = _pruned(value, hanging, keep=False)
                left_out.extend(_WIRING)
    return None, mistakes


def _follows(mistake: Mistake, left_out: list[Path]) -> bool:
    """Whether it is only there because something below its path was left out."""
    return any(mistake.path == path[: len(mistake.path)] for path in left_out)


def _to_leave_out(mistake: Mistake) -> Path | None:
    """What to leave out because of a mistake; None: nothing would be left worth checking."""
    path = mistake.path
    if not path:
        return ("name",) if mistake.message == "name is missing" else None
    if len(path) == 1 and path[0] in _ESSENTIAL:
        return None
    for depth, part in enumerate(path):
        if isinstance(part, int):
            return path[:depth]  # the whole list: what is left of it would be counted wrongly
    return path


def _pruned(value: Any, path: Path, keep: bool) -> Any:
    """A copy without the value at `path`; with `keep` an entry of a section becomes empty."""
    if path == ("name",):
        return {**value, "name": "unnamed"}
    if not isinstance(value, dict) or path[0] not in value:
        return value
    first, rest = path[0], path[1:]
    if not rest:
        return {key: item for key, item in value.items() if key != first}
    if keep and len(rest) == 1 and isinstance(value[first], dict) and value[first].get(rest[0]):
        return {**value, first: {**value[first], rest[0]: {}}}
    return {**value, first: _pruned(value[first], rest, keep=False)}
