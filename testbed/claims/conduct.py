"""A trial of claims: every scene once, what it saw noted claim by claim."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from typing import Any

from testbed.claims.claim import Claim, Observation
from testbed.claims.register import parts
from testbed.claims.stage import Stage

NOTE = "claim"
"""The kind of the events that hold what a trial saw; their detail has `claim`, its name, beside."""


def conduct(stage: Stage, claims: Collection[Claim]) -> None:
    """Play the scenes of these claims, part after part. Raises whatever a scene raises."""
    wanted = {claim.name for claim in claims}
    for part in parts(claims):
        for name, seen in _played(stage, part).items():
            if name in wanted:
                stage.lab.note(NOTE, claim=name, **_plain(seen))


def _played(stage: Stage, claims: Collection[Claim]) -> dict[str, Observation]:
    """What the scenes of a part saw; they take turns where they wait, claims of one scene share it."""
    playing: list[Generator[None, None, Mapping[str, Observation]]] = [
        scene(stage) for scene in dict.fromkeys(claim.scene for claim in claims)
    ]
    found: dict[str, Observation] = {}
    while playing:
        going = []
        for scene in playing:
            try:
                next(scene)
            except StopIteration as end:
                found |= end.value
            else:
                going.append(scene)
        playing = going
    return found


def _plain(value: Any) -> Any:
    """Without the types of numpy, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
