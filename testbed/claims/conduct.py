"""A trial of claims: every scene once, what it saw noted claim by claim."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterable, Mapping
from typing import Any

from testbed.claims.claim import Claim, Observation, Scene
from testbed.claims.register import parts
from testbed.claims.stage import Stage

NOTE = "claim"
"""The kind of the events that hold what a trial saw; their detail has `claim`, its name, beside."""


def conduct(stage: Stage, claims: Collection[Claim]) -> None:
    """Play the scenes of these claims, part after part. Raises whatever a scene raises."""
    wanted = {claim.name for claim in claims}
    for part in parts(claims):
        for name, seen in played(stage, [claim.scene for claim in part]).items():
            if name in wanted:
                stage.lab.note(NOTE, claim=name, **plain(seen))


def played(stage: Stage, scenes: Iterable[Scene]) -> dict[str, Observation]:
    """What scenes saw, each played once; they take turns where they wait."""
    playing: list[Generator[None, None, Mapping[str, Observation]]] = [
        scene(stage) for scene in dict.fromkeys(scenes)
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


def plain(value: Any) -> Any:
    """Without what JSON does not know: types of numpy, and a number that is none."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
