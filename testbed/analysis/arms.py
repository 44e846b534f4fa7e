"""Arms of a run: the trials that share all values of its factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis.run import Run


@dataclass(frozen=True, slots=True)
class Arm:
    """`label` names only what varies in the run; `trials` are its trials in their order."""

    label: str
    factors: Mapping[str, Any]
    trials: tuple[Any, ...]


def arms(run: Run) -> tuple[Arm, ...]:
    """The arms in order of their factors; one arm with an empty label where nothing varies."""
    if run.trials.empty:
        return ()
    names = list(run.factors)
    if not names:
        return (Arm("", {}, tuple(run.trials["trial"])),)
    found = []
    for values, rows in run.trials.groupby(names, sort=True, dropna=False):
        factors = dict(zip(names, plain_all(values), strict=True))
        varied = {name: factors[name] for name in run.varied}
        found.append(Arm(label_of(varied), factors, tuple(rows["trial"])))
    return tuple(found)


def plain_all(values: Any) -> tuple[Any, ...]:
    """Values of a group key as Python's own types, so that they print and become JSON."""
    return tuple(value.item() if hasattr(value, "item") else value for value in values)


def label_of(factors: Mapping[str, Any]) -> str:
    """`fault=crash, replicas=3`; a unit at the end of a name moves behind the value."""
    return ", ".join(_pair(name, value) for name, value in factors.items())


def _pair(name: str, value: Any) -> str:
    stem, _, unit = name.rpartition("_")
    if stem and unit in ("s", "ms", "rps"):
        return f"{stem.replace('_', ' ')}={value:g} {unit}"
    return f"{name.replace('_', ' ')}={value}"


def valid_rows(run: Run) -> pd.Series[bool]:
    """Which rows of `run.trials` were not found invalid; all where nobody judged them."""
    if "valid" not in run.trials.columns:
        return pd.Series(True, index=run.trials.index)
    return run.trials["valid"].astype(str).str.lower().isin(("true", "1", "1.0"))


def valid_blocks(run: Run) -> Run:
    """The run without the blocks that hold an invalid trial: a block counts whole or not at all."""
    good = valid_rows(run)
    if good.all():
        return run
    if "block" not in run.trials.columns:
        return run.only(run.trials.loc[good, "trial"])
    bad_blocks = set(run.trials.loc[~good, "block"])
    return run.only(run.trials.loc[~run.trials["block"].isin(bad_blocks), "trial"])
