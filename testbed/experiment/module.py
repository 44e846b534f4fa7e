"""An experiment as a file: found by name or path, its interface checked before anything starts."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import testbed
from testbed.errors import NotFound, UsageError
from testbed.experiment.columns import TRIALS
from testbed.experiment.primary import Pilot, Primary
from testbed.spelling import did_you_mean, nearest

Value = str | int | float | bool
Factors = Mapping[str, Value]
"""One value of each factor: what a trial runs under."""

_TEXTS = ("QUESTION", "HYPOTHESIS", "REFUTED_IF")
_FUNCTIONS = {"trial": 3, "analyse": 1, "plot": 1}
_OPTIONAL = {"arrange": 2, "estimate_s": 1, "measure": 1, "primary": 1, "pilot": 1}
_REQUIRED = (*_TEXTS, "FACTORS", "REPEATS", "REQUIRES", "TIMING", *_FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile of a run changes: repeats, and the values of some factors."""

    repeats: int | None = None
    factors: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A checked experiment; fields are named after the module's (docs/experiments.md).

    `topology` is a file's path as written, or a function of the factors. What a module may leave
    out has a default here: `arrange(topology, factors)` adapts the topology to a trial, `choices`
    are texts that `--set` may name beside a factor's own, `estimate_s(factors)` says how long a
    trial takes, `keep_rules` whether results hold every node's rules before and after each,
    `measure(run)` gives the metrics of each, `primary(run)` the numbers that the verdicts are about,
    `pilot(factors)` what is expected of those before any run (`experiment.primary`).
    """

    name: str
    path: Path
    question: str
    hypothesis: str
    refuted_if: str
    topology: str | Callable[[Factors], Any]
    factors: Mapping[str, tuple[Value, ...]]
    repeats: int
    requires: frozenset[str]
    timing: bool
    trial: Callable[[Any, Factors, int], None]
    analyse: Callable[[Any], list[Any]]
    plot: Callable[[Any], Mapping[str, Any]]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    arrange: Callable[[Any, Factors], Any] | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep_rules: bool = True
    estimate_s: Callable[[Factors], float] | None = None
    measure: Callable[[Any], Any] | None = None
    primary: Callable[[Any], list[Primary]] | None = None
    pilot: Callable[[Factors], Sequence[Pilot]] | None = None


def folders() -> tuple[Path, ...]:
    """Where names are looked up: ./experiments, then the package's own."""
    package = Path(testbed.__file__).parent
    shipped = package / "_experiments"
    beside = package.parent / "experiments"
    return (Path("experiments"), shipped if shipped.is_dir() else beside)


def names() -> tuple[str, ...]:
    """Every experiment that can be named."""
    found = {file.stem for folder in folders() for file in folder.glob("*.py")}
    return tuple(sorted(map(typed, (name for name in found if not name.startswith("_")))))


def typed(stem: str) -> str:
    """What to type for a file: `known-issues` for known_issues.py."""
    return stem.replace("_", "-")


def find(name: str) -> Path:
    """The file of an experiment, given as a name or a path.

    Raises NotFound, with the nearest name, when there is none.
    """
    if name.endswith(".py") or "/" in name:
        path = Path(name)
        if path.is_file():
            return path
        raise NotFound(f"no experiment file {name}")
    for folder in folders():
        for stem in dict.fromkeys((name, name.replace("-", "_"))):
            if (path := folder / f"{stem}.py").is_file():
                return path
    known = names()
    hint = did_you_mean(name, known) or f"known: {', '.join(known) or 'none'}"
    raise NotFound(f"no experiment {name!r} in ./experiments or in the package", hint)


def spelt(path: Path) -> str:
    """What to type for the experiment of a file: its name where that finds it, else the path."""
    shipped = path in (folder.resolve() / path.name for folder in folders())
    return typed(path.stem) if shipped else str(path)


def load(name: str) -> Experiment:
    """The experiment called `name`. Raises NotFound; UsageError for a module that is not one."""
    path = find(name).resolve()
    return check(_import(path), path)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_experiment_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: {error.msg}") from error
    except ImportError as error:
        raise UsageError(f"{path}: {error}") from error
    return module


def check(module: ModuleType, path: Path) -> Experiment:
    """The module as a value. Raises UsageError that lists everything that is wrong with it."""
    problems = _problems(module)
    if problems:
        raise UsageError(
            f"{path} is not an experiment: " + "; ".join(problems), "see docs/experiments.md"
        )
    given = vars(module)
    return Experiment(
        name=typed(path.stem),
        path=path,
        question=given["QUESTION"],
        hypothesis=given["HYPOTHESIS"],
        refuted_if=given["REFUTED_IF"],
        topology=given.get("TOPOLOGY") or given["topology"],
        factors={key: tuple(values) for key, values in given["FACTORS"].items()},
        repeats=given["REPEATS"],
        requires=frozenset(str(getattr(item, "value", item)) for item in given["REQUIRES"]),
        timing=given["TIMING"],
        trial=given["trial"],
        analyse=given["analyse"],
        plot=given["plot"],
        profiles=given.get("PROFILES", {}),
        arrange=given.get("arrange"),
        choices=given.get("CHOICES", {}),
        keep_rules=given.get("KEEP_RULES", True),
        estimate_s=given.get("estimate_s"),
        measure=given.get("measure"),
        primary=given.get("primary"),
        pilot=given.get("pilot"),
    )


def _problems(module: ModuleType) -> list[str]:
    given = vars(module)
    return [
        *(_missing(name, given) for name in _REQUIRED if name not in given),
        *(["TOPOLOGY or topology(factors) is missing"] if not _has_topology(given) else []),
        *(f"{name} must be a text that says something" for name in _TEXTS if _empty(name, given)),
        *_factor_problems(given.get("FACTORS", {})),
        *_number_problems(given),
        *(
            f"{name} must be a function of {arity} argument{'s' if arity > 1 else ''}"
            for name, arity in (_FUNCTIONS | _OPTIONAL).items()
            if name in given and not _takes(given[name], arity)
        ),
    ]


def _missing(name: str, given: Mapping[str, Any]) -> str:
    meant = nearest(name, (key for key in given if not key.startswith("__")))
    return f"{name} is missing" + (f" (is it {meant}?)" if meant else "")


def _has_topology(given: Mapping[str, Any]) -> bool:
    text = given.get("TOPOLOGY")
    return (isinstance(text, str) and bool(text)) or callable(given.get("topology"))


def _empty(name: str, given: Mapping[str, Any]) -> bool:
    return name in given and not (isinstance(given[name], str) and given[name].strip())


def _factor_problems(factors: Any) -> list[str]:
    if not isinstance(factors, Mapping):
        return ["FACTORS must be a dict of name to a tuple of values"]
    found = []
    for name, values in factors.items():
        if name in TRIALS:
            found.append(f"no factor can be called {name}: it is a column of trials.csv")
        if not isinstance(values, tuple | list) or not values:
            found.append(f"FACTORS[{name!r}] must be a tuple of at least one value")
        elif len({type(value) for value in values}) > 1:
            found.append(f"FACTORS[{name!r}] mixes types: {', '.join(map(repr, values))}")
        elif len(set(values)) < len(values):
            found.append(f"FACTORS[{name!r}] names a value twice")
    return found


def _number_problems(given: Mapping[str, Any]) -> list[str]:
    found = []
    repeats = given.get("REPEATS", 1)
    if not isinstance(repeats, int) or repeats < 1:
        found.append("REPEATS must be a whole number of at least 1")
    if not isinstance(given.get("TIMING", True), bool):
        found.append("TIMING must be True or False")
    if not isinstance(given.get("REQUIRES", frozenset()), frozenset | set | tuple):
        found.append("REQUIRES must be a frozenset of features")
    return found


def _takes(function: Any, arity: int) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*range(arity))
    except TypeError:
        return False
    return True
