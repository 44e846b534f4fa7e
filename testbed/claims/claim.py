"""A claim, and what a run's trials say of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from testbed.analysis.run import Verdict
from testbed.claims.stage import Stage

Source = Literal["tutorial", "answer", "documentation"]
"""Who says so: an introduction, an answer in a forum, or Kubernetes' own pages."""

Observation = Mapping[str, Any]
"""What one trial saw: plain figures, as JSON keeps them."""

Scene = Callable[[Stage], Generator[None, None, Mapping[str, Observation]]]
"""Drives the lab and returns an observation for each claim that it is about, by the claim's name.

Where it would wait for the cluster it yields instead: scenes take turns, so that their waits are one.
"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one claim in one mode."""

    verdict: Verdict
    answer: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    p_value: float | None = None
    """None: no chance is involved."""


Judge = Callable[[Sequence[Observation], str], Judgement]
"""(one observation per trial, the mode's label) -> the judgement. Pure."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`says` is the claim as it is made; `holds_if` the margin, fixed before the run."""

    name: str
    says: str
    source: Source
    holds_if: str
    scene: Scene
    judge: Judge


def still(observe: Callable[[Stage], Mapping[str, Observation]]) -> Scene:
    """A scene that waits for nothing."""

    def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
        yield from ()
        return observe(stage)

    return scene
