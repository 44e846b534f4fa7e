"""Factors x repeats -> blocks of trials. Pure: equal arguments give an equal design.

A block holds every arm (every combination of factor values) once, in random order: what drifts over
a run touches all arms alike (MEASURING.md, Blocks).
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from testbed.errors import UsageError
from testbed.experiment.module import Experiment, Factors, Profile, Value
from testbed.spelling import did_you_mean

SMOKE, DEFAULT, PAPER = "smoke", "default", "paper"
PROFILES = (SMOKE, DEFAULT, PAPER)
SMOKE_REPEATS = 5
"""Fewest trials that may carry an interval (MEASURING.md)."""
PAPER_REPEATS = 20
"""From here intervals are BCa bootstraps over trials (MEASURING.md)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of the design. `id` is stable over resumes and names the trial in every file."""

    id: str
    block: int
    arm: int
    factors: Factors
    seed: int
    attempt: int = 0
    """Counts the reruns of its block; 0 is the first."""


@dataclass(frozen=True, slots=True)
class Design:
    """What will be run: every arm `repeats` times."""

    factors: Mapping[str, tuple[Value, ...]]
    repeats: int
    seed: int
    profile: str = DEFAULT

    def to_json(self) -> dict[str, Any]:
        """As `run.json` stores it."""
        return {
            "factors": {name: list(values) for name, values in self.factors.items()},
            "repeats": self.repeats,
            "seed": self.seed,
            "profile": self.profile,
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Design:
        """The design of a stored run."""
        factors = {name: tuple(values) for name, values in stored["factors"].items()}
        return Design(factors, stored["repeats"], stored["seed"], stored["profile"])


def arms(design: Design) -> tuple[Factors, ...]:
    """Every combination of factor values, in the factors' order."""
    return tuple(
        dict(zip(design.factors, values, strict=True))
        for values in itertools.product(*design.factors.values())
    )


def block(design: Design, number: int, attempt: int = 0) -> tuple[Trial, ...]:
    """Every arm once, in this block's random order. A rerun (`attempt` > 0) is shuffled anew.

    All arms of a block share a seed: they meet the same arrivals and the same fault.
    """
    seed = _derived(design.seed, "trial", number, attempt)
    trials = [
        Trial(
            id=trial_id(number, arm, attempt),
            block=number,
            arm=arm,
            factors=factors,
            seed=seed,
            attempt=attempt,
        )
        for arm, factors in enumerate(arms(design))
    ]
    random.Random(_derived(design.seed, "order", number, attempt)).shuffle(trials)
    return tuple(trials)


def trials(design: Design) -> Iterator[Trial]:
    """All trials of a run in which nothing goes wrong, in order."""
    for number in range(design.repeats):
        yield from block(design, number)


def block_id(number: int, attempt: int) -> str:
    """`b03`; its first rerun is `b03-r1`."""
    return f"b{number:02d}" + (f"-r{attempt}" if attempt else "")


def trial_id(number: int, arm: int, attempt: int) -> str:
    """The arm in its block: `b03-a1`, `b03-r1-a1`."""
    return f"{block_id(number, attempt)}-a{arm}"


def _derived(seed: int, *what: object) -> int:
    """A 32-bit seed of its own for each purpose; unrelated for neighbouring seeds."""
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def designed(
    experiment: Experiment,
    settings: Sequence[str] = (),
    repeats: int | None = None,
    seed: int = 0,
    profile: str = DEFAULT,
) -> Design:
    """The design of a run: the module's factors, then the profile's, then `--set`, then `--repeat`.

    Raises UsageError for a profile, factor or value that does not exist, and for a `paper` run of
    fewer trials than a paper needs.
    """
    if profile not in PROFILES:
        near = did_you_mean(profile, PROFILES)
        raise UsageError(f"no profile {profile!r}", near or f"known: {', '.join(PROFILES)}")
    changes = experiment.profiles.get(profile, Profile())
    factors = {**experiment.factors, **changes.factors}
    factors |= chosen(experiment.factors, settings, experiment.choices)
    count = repeats
    if count is None:
        count = changes.repeats or _default_repeats(experiment, profile)
    if count < 1:
        raise UsageError(f"--repeat {count} makes no trial", "give at least 1")
    if profile == PAPER and count < PAPER_REPEATS:
        raise UsageError(
            f"--profile paper needs at least {PAPER_REPEATS} repeats, not {count}",
            "leave --repeat out, or use another profile",
        )
    return Design(factors, count, seed, profile)


def _default_repeats(experiment: Experiment, profile: str) -> int:
    if profile == SMOKE:
        return min(experiment.repeats, SMOKE_REPEATS)
    if profile == PAPER:
        return max(experiment.repeats, PAPER_REPEATS)
    return experiment.repeats


def chosen(
    known: Mapping[str, tuple[Value, ...]],
    settings: Sequence[str],
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, tuple[Value, ...]]:
    """Values of `--set factor=v1,v2`, typed as the experiment's own values.

    Numbers may be any; a text must be one that the experiment knows: a value of `known`, or one of
    `choices`. Raises UsageError.
    """
    picked: dict[str, tuple[Value, ...]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not text:
            raise UsageError(f"--set {setting}: write it as factor=value or factor=v1,v2")
        if name not in known:
            hint = did_you_mean(name, known) or f"its factors: {', '.join(known) or 'none'}"
            raise UsageError(f"--set {setting}: the experiment has no factor {name!r}", hint)
        if name in picked:
            raise UsageError(f"--set {name} is given twice", f"write {name}=v1,v2")
        may = (*known[name], *choices.get(name, ()))
        values = tuple(_typed(name, part.strip(), may) for part in text.split(","))
        if len(set(values)) < len(values):
            raise UsageError(f"--set {setting}: names a value twice")
        picked[name] = values
    return picked


def _typed(name: str, text: str, known: tuple[Value, ...]) -> Value:
    kind = type(known[0])
    if kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise UsageError(f"--set {name}={text}: not true or false")
    if kind is str:
        texts = list(dict.fromkeys(map(str, known)))
        if text in texts:
            return text
        hint = did_you_mean(text, texts) or f"known: {', '.join(texts)}"
        raise UsageError(f"--set {name}={text}: no such value", hint)
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        example = ",".join(map(str, known))
        raise UsageError(f"--set {name}={text}: not {what}", f"as in {name}={example}") from None
